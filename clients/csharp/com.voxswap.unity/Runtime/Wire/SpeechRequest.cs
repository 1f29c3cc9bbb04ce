// What a line or a conversation asks for.
using System.Collections.Generic;
using Newtonsoft.Json.Linq;

namespace Voxswap.Wire
{
    /// <summary>Whatever is left out is the voice's default.</summary>
    public sealed class SpeechRequest
    {
        /// <summary>"npc/smith", "npc/smith@3" or "npc/smith@stable".</summary>
        public string Voice = "";

        /// <summary>Spoken first; may be empty.</summary>
        public string Text = "";

        /// <summary>Samples a second, 8000 to 48000; the server resamples. 0: the voice's own.</summary>
        public int SampleRateHertz;

        /// <summary>A name that the voice lists.</summary>
        public string Speaker;

        /// <summary>0.25 to 4: 2 is twice as fast.</summary>
        public float? Rate;

        /// <summary>-12 to 12; 12 is an octave up.</summary>
        public float? PitchSemitones;

        /// <summary>How far the pitch moves, as a factor: 0 (monotonous) to 2.</summary>
        public float? PitchRange;

        /// <summary>-40 to 12 dB.</summary>
        public float? VolumeDb;

        /// <summary>Length of pauses as a factor, 0 to 4.</summary>
        public float? PauseScale;

        /// <summary>
        /// Shares by name, such as angry 0.7 and sad 0.2; what is left of 1 is neutral. Null: all.
        /// </summary>
        public Dictionary<string, float> Emotions;

        /// <summary>How strong the emotion is, 0 (neutral) to 2.</summary>
        public float? Intensity;

        /// <summary>Whether the emotion is read off the text, in place of <see cref="Emotions"/>.</summary>
        public bool EmotionFromText;

        /// <summary>"prosody": rate, pitch and volume speak what the voice does not list; "none".</summary>
        public string EmotionFallback;

        /// <summary>A style in words, for voices that take one.</summary>
        public string StylePrompt;

        /// <summary>Makes the line repeatable.</summary>
        public ulong? Seed;

        /// <summary>"bark", "dialogue" or "cinematic".</summary>
        public string LineClass;

        /// <summary>The latest useful start, in milliseconds: TOO_LATE if it cannot be.</summary>
        public int? StartByMs;

        /// <summary>Lines of one conversation keep to one version of a voice.</summary>
        public string SessionId;

        /// <summary>The first frame. The audio is 32-bit floats, with words and visemes.</summary>
        internal JObject Frame(string conversation)
        {
            JObject audio = new JObject();
            audio["encoding"] = "pcm_f32le";
            audio["sample_rate_hertz"] = SampleRateHertz;
            JObject frame = new JObject();
            frame["type"] = "start";
            frame["conversation"] = conversation;
            frame["voice"] = Voice;
            frame["text"] = Text;
            frame["audio"] = audio;
            frame["marks"] = new JArray("word", "viseme");
            JObject controls = new JObject();
            Put(controls, "rate", Rate);
            Put(controls, "pitch_semitones", PitchSemitones);
            Put(controls, "pitch_range", PitchRange);
            Put(controls, "volume_db", VolumeDb);
            Put(controls, "pause_scale", PauseScale);
            if (controls.Count > 0)
            {
                frame["controls"] = controls;
            }
            JObject emotion = Emotion();
            if (emotion.Count > 0)
            {
                frame["emotion"] = emotion;
            }
            Put(frame, "style_prompt", StylePrompt);
            if (Seed != null)
            {
                frame["seed"] = Seed.Value.ToString(); // a number of JSON has 53 bits for sure
            }
            if (StartByMs != null)
            {
                frame["start_by_ms"] = StartByMs.Value;
            }
            Put(frame, "speaker", Speaker);
            Put(frame, "line_class", LineClass);
            Put(frame, "session_id", SessionId);
            return frame;
        }

        private JObject Emotion()
        {
            JObject emotion = new JObject();
            if (Emotions != null && Emotions.Count > 0)
            {
                JArray mixture = new JArray();
                foreach (KeyValuePair<string, float> share in Emotions)
                {
                    JObject weighed = new JObject();
                    weighed["emotion"] = share.Key;
                    weighed["weight"] = share.Value;
                    mixture.Add(weighed);
                }
                emotion["mixture"] = mixture;
            }
            if (EmotionFromText)
            {
                emotion["from_text"] = true;
            }
            Put(emotion, "intensity", Intensity);
            Put(emotion, "fallback", EmotionFallback);
            return emotion;
        }

        private static void Put(JObject frame, string name, float? value)
        {
            if (value != null)
            {
                frame[name] = value.Value;
            }
        }

        private static void Put(JObject frame, string name, string value)
        {
            if (!string.IsNullOrEmpty(value))
            {
                frame[name] = value;
            }
        }
    }
}
