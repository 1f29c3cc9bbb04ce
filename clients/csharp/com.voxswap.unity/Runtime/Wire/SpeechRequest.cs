// What a line or a conversation asks for.
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
            if (Rate != null)
            {
                JObject controls = new JObject();
                controls["rate"] = Rate.Value;
                frame["controls"] = controls;
            }
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

        private static void Put(JObject frame, string name, string value)
        {
            if (!string.IsNullOrEmpty(value))
            {
                frame[name] = value;
            }
        }
    }
}
