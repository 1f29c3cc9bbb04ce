// Which sample of the speech is heard where the loudspeaker is.
using System;
using System.Threading;

namespace Voxswap.Playback
{
    /// <summary>
    /// Maps positions of a looped clip to samples of the speech. An engine reads ahead of what is
    /// heard, and gets silence where nothing has come in time; so the one does not follow from the
    /// other by counting. One thread writes, the audio thread; any may ask. Nobody waits.
    /// </summary>
    public sealed class SampleClock
    {
        /// <summary>What is heard where nothing is said.</summary>
        public const long Silence = -1;

        // Runs of samples that lie side by side in the clip and in the speech, the latest ones.
        // Askers look at half of them, so the writer has to add as many while one of them looks
        // before it meets one that is half written.
        private const int Runs = 512;

        private readonly int _lapSamples;
        private readonly int[] _from = new int[Runs];
        private readonly long[] _speech = new long[Runs];
        private readonly int[] _count = new int[Runs];
        private long _runs;
        private int _position;

        /// <summary>The clip has <paramref name="lapSamples"/>, then begins anew.</summary>
        public SampleClock(int lapSamples)
        {
            if (lapSamples < 1)
            {
                throw new ArgumentOutOfRangeException("lapSamples", "a clip has a sample at least");
            }
            _lapSamples = lapSamples;
        }

        /// <summary>The engine goes on at another position of the clip.</summary>
        public void Seek(int position)
        {
            _position = position % _lapSamples;
        }

        /// <summary>
        /// The engine was given <paramref name="count"/> samples, the first of which is
        /// <paramref name="speech"/>, or <see cref="Silence"/>.
        /// </summary>
        public void Gave(int count, long speech)
        {
            while (count > 0)
            {
                int n = Math.Min(count, _lapSamples - _position);
                Append(n, speech);
                _position = (_position + n) % _lapSamples;
                count -= n;
                speech = speech == Silence ? Silence : speech + n;
            }
        }

        /// <summary>The sample that is heard at a position of the clip, or <see cref="Silence"/>.</summary>
        public long HeardAt(int position)
        {
            int into;
            long run = RunAt(position, out into);
            long first = run < 0 ? Silence : _speech[run % Runs];
            return first == Silence ? Silence : first + into;
        }

        /// <summary>The last sample that was heard up to a position of the clip; Silence if none.</summary>
        public long LastHeardAt(int position)
        {
            int into;
            long run = RunAt(position, out into);
            long oldest = Math.Max(0, Volatile.Read(ref _runs) - Runs / 2);
            for (; run >= oldest; run--)
            {
                int i = (int)(run % Runs);
                if (_speech[i] != Silence)
                {
                    return _speech[i] + into;
                }
                into = run > oldest ? _count[(run - 1) % Runs] - 1 : 0;
            }
            return Silence;
        }

        // The latest run that a position lies in, and where in it; -1 without any.
        private long RunAt(int position, out int into)
        {
            long runs = Volatile.Read(ref _runs);
            for (long run = runs - 1; run >= Math.Max(0, runs - Runs / 2); run--)
            {
                int i = (int)(run % Runs);
                into = position - _from[i];
                if (into >= 0 && into < Volatile.Read(ref _count[i]))
                {
                    return run;
                }
            }
            into = 0;
            return -1;
        }

        private void Append(int n, long speech)
        {
            if (_runs > 0)
            {
                int last = (int)((_runs - 1) % Runs);
                int count = _count[last];
                long next = _speech[last] == Silence ? Silence : _speech[last] + count;
                if (_from[last] + count == _position && next == speech)
                {
                    Volatile.Write(ref _count[last], count + n);
                    return;
                }
            }
            int i = (int)(_runs % Runs);
            _from[i] = _position;
            _speech[i] = speech;
            _count[i] = n;
            Volatile.Write(ref _runs, _runs + 1);
        }
    }
}
