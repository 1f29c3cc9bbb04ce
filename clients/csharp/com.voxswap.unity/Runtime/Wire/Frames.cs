// Frames of the WebSocket become values.
using System;
using Newtonsoft.Json.Linq;

namespace Voxswap.Wire
{
    internal static class Frames
    {
        internal static SpeechHeader Header(JObject frame)
        {
            SpeechHeader header = new SpeechHeader();
            header.Voice = (string)frame["voice"];
            header.SampleRateHertz = (int)frame["sample_rate_hertz"];
            header.Cold = (bool)frame["cold"];
            return header;
        }

        /// <summary>The audio is pcm_f32le, as was asked for.</summary>
        internal static SpeechChunk Chunk(JObject frame, byte[] audio)
        {
            SpeechChunk chunk = new SpeechChunk();
            chunk.StartSample = (long)frame["start_sample"];
            chunk.Samples = new float[audio.Length / 4];
            if (BitConverter.IsLittleEndian)
            {
                Buffer.BlockCopy(audio, 0, chunk.Samples, 0, 4 * chunk.Samples.Length);
            }
            else
            {
                Array.Reverse(audio);
                Buffer.BlockCopy(audio, 0, chunk.Samples, 0, 4 * chunk.Samples.Length);
                Array.Reverse(chunk.Samples);
            }
            JArray marks = (JArray)frame["marks"] ?? new JArray();
            chunk.Marks = new SpeechMark[marks.Count];
            for (int i = 0; i < chunk.Marks.Length; i++)
            {
                chunk.Marks[i].IsWord = (string)marks[i]["kind"] == "word";
                chunk.Marks[i].Text = (string)marks[i]["text"];
                chunk.Marks[i].StartSample = (long)marks[i]["start_sample"];
                chunk.Marks[i].DurationSamples = (long)marks[i]["duration_samples"];
                chunk.Marks[i].TextEnd = (int?)marks[i]["text_end"] ?? 0;
            }
            return chunk;
        }

        internal static InterruptReceipt Receipt(JObject frame)
        {
            InterruptReceipt receipt = new InterruptReceipt();
            receipt.EndSample = (long)frame["end_sample"];
            receipt.LastWord = (string)frame["last_word"];
            receipt.TextEnd = (int)frame["text_end"];
            return receipt;
        }

        internal static VoxswapException Error(JObject frame)
        {
            JToken error = frame["error"];
            string message = (string)error["message"] ?? "";
            foreach (JToken fault in (JArray)error["violations"] ?? new JArray())
            {
                message += "; " + (string)fault["field"] + " " + (string)fault["description"];
            }
            int? retryAfterMs = (int?)error["retry_after_ms"];
            return new VoxswapException((string)error["reason"] ?? "", message, retryAfterMs);
        }
    }
}
