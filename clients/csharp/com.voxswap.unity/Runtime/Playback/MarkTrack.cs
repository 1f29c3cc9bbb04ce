// Marks in time: mouth shapes, or words.
using System.Collections.Generic;

namespace Voxswap.Playback
{
    /// <summary>A word or viseme; positions and lengths are in samples.</summary>
    public struct Mark
    {
        /// <summary>The viseme's name, or the word as written.</summary>
        public readonly string Text;

        /// <summary>Its first sample.</summary>
        public readonly long Start;

        /// <summary>Its length.</summary>
        public readonly long Duration;

        /// <summary>Words: where it ends in the text, in Unicode code points.</summary>
        public readonly int TextEnd;

        public Mark(string text, long start, long duration, int textEnd)
        {
            Text = text;
            Start = start;
            Duration = duration;
            TextEnd = textEnd;
        }
    }

    /// <summary>Marks of one kind, in order. Not thread-safe.</summary>
    public sealed class MarkTrack
    {
        private readonly List<Mark> _marks = new List<Mark>();

        public int Count
        {
            get { return _marks.Count; }
        }

        /// <summary>Adds a mark that begins no sooner than those before it.</summary>
        public void Add(Mark mark)
        {
            _marks.Add(mark);
        }

        public void Clear()
        {
            _marks.Clear();
        }

        /// <summary>The last mark that has begun at a sample; false before the first.</summary>
        public bool At(long sample, out Mark mark)
        {
            int begun = Begun(sample);
            mark = begun > 0 ? _marks[begun - 1] : default(Mark);
            return begun > 0;
        }

        /// <summary>The last mark that has ended at a sample; false before the first end.</summary>
        public bool LastWhole(long sample, out Mark mark)
        {
            for (int i = Begun(sample) - 1; i >= 0; i--)
            {
                mark = _marks[i];
                if (mark.Start + mark.Duration <= sample)
                {
                    return true;
                }
            }
            mark = default(Mark);
            return false;
        }

        /// <summary>Forgets marks that <see cref="At"/> will not give from a sample on.</summary>
        public void Forget(long before)
        {
            int begun = Begun(before);
            if (begun > 1)
            {
                _marks.RemoveRange(0, begun - 1);
            }
        }

        private int Begun(long sample)
        {
            int low = 0;
            int high = _marks.Count;
            while (low < high)
            {
                int middle = (low + high) / 2;
                if (_marks[middle].Start <= sample)
                {
                    low = middle + 1;
                }
                else
                {
                    high = middle;
                }
            }
            return low;
        }
    }
}
