// What there is to try in the languages of the voices, until somebody writes a line of their own.

/** @type {Record<string, string>} */
const SAMPLES = {
  en: "The bridge is closed after dark. Whoever wants to cross tonight must answer me three questions.",
  es: "El puente se cierra al anochecer. Quien quiera cruzar esta noche, que responda a tres preguntas.",
  fr: "Le pont ferme à la nuit tombée. Qui veut passer ce soir doit répondre à trois questions.",
  hi: "अंधेरा होने पर पुल बंद हो जाता है। जिसे आज रात पार जाना है, वह मेरे तीन सवालों के जवाब दे।",
  it: "Il ponte chiude dopo il tramonto. Chi vuole passare stanotte risponda a tre domande.",
  pt: "A ponte fecha depois do anoitecer. Quem quiser passar esta noite responda a três perguntas.",
  zh: "天黑以后，桥就关了。今晚想过桥的人，先回答我三个问题。",
};

/**
 * `written`; but a sample of ours gives way to that of another language, if there is one.
 * @param {string} written
 * @param {string} language as BCP 47 has it
 */
export function lineToTry(written, language) {
  const sample = SAMPLES[language.split("-")[0].toLowerCase()];
  const isOurs = Object.values(SAMPLES).includes(written.trim());
  return isOurs && sample ? sample : written;
}
