// Samples on their way from the network to the audio thread.
using System;
using System.Threading;

namespace Voxswap.Playback
{
    /// <summary>
    /// A ring of samples for one writer and one reader, each a thread at a time. Nobody waits and
    /// nothing is allocated: the reader may be an audio thread.
    /// </summary>
    public sealed class SampleRing
    {
        private readonly float[] _samples;
        private readonly int _mask;
        private long _written; // by the writer alone
        private long _read; // by the reader alone

        /// <summary>Holds at least <paramref name="leastSamples"/>, 1 to 2^26.</summary>
        public SampleRing(int leastSamples)
        {
            if (leastSamples < 1 || leastSamples > 1 << 26)
            {
                throw new ArgumentOutOfRangeException("leastSamples", "use 1 to 2^26 samples");
            }
            int capacity = 1;
            while (capacity < leastSamples)
            {
                capacity <<= 1;
            }
            _samples = new float[capacity];
            _mask = capacity - 1;
        }

        /// <summary>How many samples it holds at most: a power of two.</summary>
        public int Capacity
        {
            get { return _samples.Length; }
        }

        /// <summary>Samples ever written, which is the position of the next one.</summary>
        public long Written
        {
            get { return Volatile.Read(ref _written); }
        }

        /// <summary>Samples ever read or skipped.</summary>
        public long Taken
        {
            get { return Volatile.Read(ref _read); }
        }

        /// <summary>Samples that can be read now; there may be more a moment later.</summary>
        public int Available
        {
            get { return (int)(Written - Taken); }
        }

        /// <summary>Samples that can be written now; there may be room for more a moment later.</summary>
        public int Room
        {
            get { return Capacity - Available; }
        }

        /// <summary>Writes as many samples as there is room for, and says how many.</summary>
        public int Write(float[] source, int offset, int count)
        {
            int n = Math.Min(count, Room);
            int at = (int)_written & _mask;
            int first = Math.Min(n, Capacity - at);
            Array.Copy(source, offset, _samples, at, first);
            Array.Copy(source, offset + first, _samples, 0, n - first);
            Volatile.Write(ref _written, _written + n);
            return n;
        }

        /// <summary>Reads as many samples as there are, and says how many.</summary>
        public int Read(float[] target, int offset, int count)
        {
            int n = Math.Min(count, Available);
            int at = (int)_read & _mask;
            int first = Math.Min(n, Capacity - at);
            Array.Copy(_samples, at, target, offset, first);
            Array.Copy(_samples, 0, target, offset + first, n - first);
            Volatile.Write(ref _read, _read + n);
            return n;
        }

        /// <summary>For the reader: leaves out what stands before <paramref name="position"/>.</summary>
        public void SkipTo(long position)
        {
            Volatile.Write(ref _read, Math.Max(_read, Math.Min(position, Written)));
        }
    }
}
