// What the server says of a line.
using System;
using System.Threading.Tasks;

namespace Voxswap.Wire
{
    /// <summary>What is known when the audio begins.</summary>
    public sealed class SpeechHeader
    {
        /// <summary>The version that speaks, "voice@version".</summary>
        public string Voice;

        /// <summary>Samples a second of every count and offset.</summary>
        public int SampleRateHertz;

        /// <summary>Whether the voice had to be loaded first.</summary>
        public bool Cold;
    }

    /// <summary>A word or viseme; positions count samples from the beginning of the stream.</summary>
    public struct SpeechMark
    {
        public bool IsWord;
        public string Text;
        public long StartSample;
        public long DurationSamples;

        /// <summary>Words: where it ends in the text, in Unicode code points.</summary>
        public int TextEnd;
    }

    /// <summary>A piece of the audio, without a gap after the one before.</summary>
    public sealed class SpeechChunk
    {
        public long StartSample;

        /// <summary>In [-1, 1].</summary>
        public float[] Samples;

        /// <summary>Those that begin in this chunk.</summary>
        public SpeechMark[] Marks;
    }

    /// <summary>What had been sent when it was interrupted, which may be ahead of what was heard.</summary>
    public sealed class InterruptReceipt
    {
        public long EndSample;
        public string LastWord;
        public int TextEnd;
    }

    /// <summary>What went wrong; <see cref="Reason"/> is made for programs to match on.</summary>
    public sealed class VoxswapException : Exception
    {
        /// <summary>Such as VOICE_NOT_FOUND, OVERLOADED or TOO_LATE; DISCONNECTED if nobody said.</summary>
        public readonly string Reason;

        /// <summary>How long to wait before the next try; null if the server did not say.</summary>
        public readonly int? RetryAfterMs;

        public VoxswapException(string reason, string message, int? retryAfterMs)
            : base(message)
        {
            Reason = reason;
            RetryAfterMs = retryAfterMs;
        }
    }

    /// <summary>
    /// Hears what comes, in order, on a thread of the pool. The last call is one of
    /// <see cref="Ended"/> and <see cref="Failed"/>.
    /// </summary>
    public interface ISpeechListener
    {
        void Began(SpeechHeader header);

        /// <summary>The connection reads nothing more until this is done.</summary>
        Task Came(SpeechChunk chunk);

        void Interrupted(InterruptReceipt receipt);

        void Ended();

        void Failed(VoxswapException error);
    }
}
