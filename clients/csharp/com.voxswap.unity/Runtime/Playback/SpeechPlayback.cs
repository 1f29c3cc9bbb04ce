// Speech between the network, the audio thread and the face.
using System;
using System.Threading;

namespace Voxswap.Playback
{
    /// <summary>How far the speech was heard when it was interrupted.</summary>
    public struct Heard
    {
        /// <summary>One past the last sample of the line that was heard; 0 if none was.</summary>
        public readonly long Samples;

        /// <summary>The last word that was heard whole; empty without any.</summary>
        public readonly string LastWord;

        /// <summary>Where that word ends in the text, in Unicode code points.</summary>
        public readonly int TextEnd;

        public Heard(long samples, string lastWord, int textEnd)
        {
            Samples = samples;
            LastWord = lastWord;
            TextEnd = textEnd;
        }
    }

    /// <summary>
    /// Plays lines, one after the other, through a looped clip that is read ahead.
    ///
    /// <see cref="Read"/> and <see cref="Seek"/> are for the audio thread; they never wait. All else
    /// may be called by any thread.
    /// </summary>
    public sealed class SpeechPlayback
    {
        private readonly SampleRing _ring;
        private readonly SampleClock _clock;
        private readonly int _fadeSamples;
        private readonly object _gate = new object(); // of whoever writes; the audio thread has no part
        private readonly MarkTrack _visemes = new MarkTrack();
        private readonly MarkTrack _words = new MarkTrack();
        private Line _line; // the last one that began
        private long _discardTo;

        /// <param name="sampleRateHertz">of the clip, and of the audio that is asked for</param>
        /// <param name="leastSamples">what is kept of audio that came early</param>
        /// <param name="lapSamples">the clip's length; more than the engine reads ahead</param>
        public SpeechPlayback(int sampleRateHertz, int leastSamples, int lapSamples)
        {
            _ring = new SampleRing(leastSamples);
            _clock = new SampleClock(lapSamples);
            _fadeSamples = Math.Max(1, sampleRateHertz / 200);
        }

        /// <summary>Begins a line, behind those that are still to be heard.</summary>
        public Line Begin()
        {
            lock (_gate)
            {
                _line = new Line(this, _ring.Written);
                return _line;
            }
        }

        /// <summary>The viseme that is heard at a position of the clip; "sil" where nothing is said.</summary>
        public string VisemeAt(int position)
        {
            long sample = _clock.HeardAt(position);
            lock (_gate)
            {
                Mark mark;
                bool isSaid = sample != SampleClock.Silence && _visemes.At(sample, out mark);
                if (!isSaid)
                {
                    return Mouth.Shapes[0];
                }
                _visemes.Forget(sample);
                _visemes.At(sample, out mark);
                return mark.Text;
            }
        }

        /// <summary>Whether speech is heard at a position of the clip, or is still to be heard.</summary>
        public bool IsSpeakingAt(int position)
        {
            lock (_gate)
            {
                bool isComing = _line != null && !_line.HasEnded;
                return isComing || _ring.Available > 0
                    || _clock.HeardAt(position) != SampleClock.Silence;
            }
        }

        /// <summary>
        /// Says nothing more: what waits is dropped, lines that are under way take no more audio, and
        /// the mouth shuts. The engine may have read ahead; what it has, it must drop itself.
        /// </summary>
        public Heard Interrupt(int position)
        {
            lock (_gate)
            {
                long sample = _clock.LastHeardAt(position);
                Heard heard = new Heard(0, "", 0);
                if (_line != null && sample >= _line.Base)
                {
                    Mark word;
                    bool isAny = _words.LastWhole(sample + 1, out word) && word.Start >= _line.Base;
                    string text = isAny ? word.Text : "";
                    heard = new Heard(sample + 1 - _line.Base, text, isAny ? word.TextEnd : 0);
                }
                if (_line != null)
                {
                    _line.HasEnded = true;
                }
                _line = null;
                _visemes.Clear();
                _words.Clear();
                Volatile.Write(ref _discardTo, _ring.Written);
                return heard;
            }
        }

        /// <summary>Gives the engine its next samples; silence where there are none.</summary>
        public void Read(float[] data)
        {
            int done = 0;
            long discardTo = Volatile.Read(ref _discardTo);
            long first = _ring.Taken;
            if (first < discardTo)
            {
                // A wave that is cut off clicks.
                int most = (int)Math.Min(Math.Min(_fadeSamples, data.Length), discardTo - first);
                done = _ring.Read(data, 0, most);
                for (int i = 0; i < done; i++)
                {
                    data[i] *= 1 - (float)(i + 1) / done;
                }
                _clock.Gave(done, SampleClock.Silence);
                _ring.SkipTo(discardTo);
            }
            first = _ring.Taken;
            int n = _ring.Read(data, done, data.Length - done);
            _clock.Gave(n, first);
            done += n;
            Array.Clear(data, done, data.Length - done);
            _clock.Gave(data.Length - done, SampleClock.Silence);
        }

        /// <summary>The engine goes on at another position of the clip.</summary>
        public void Seek(int position)
        {
            _clock.Seek(position);
        }

        /// <summary>One line, or a whole conversation.</summary>
        public sealed class Line
        {
            private readonly SpeechPlayback _playback;

            internal Line(SpeechPlayback playback, long start)
            {
                _playback = playback;
                Base = start;
            }

            internal long Base { get; private set; }

            /// <summary>Whether it takes no more: it was interrupted or ended.</summary>
            public bool HasEnded { get; internal set; }

            /// <summary>
            /// Writes as many samples as there is room for, and says how many. Of a line that has
            /// ended all are taken, and dropped.
            /// </summary>
            public int Write(float[] samples, int offset, int count)
            {
                lock (_playback._gate)
                {
                    return HasEnded ? count : _playback._ring.Write(samples, offset, count);
                }
            }

            /// <summary>Adds a mouth shape; its start counts from the line's first sample.</summary>
            public void AddViseme(Mark mark)
            {
                Add(_playback._visemes, mark);
            }

            /// <summary>Adds a word; its start counts from the line's first sample.</summary>
            public void AddWord(Mark mark)
            {
                Add(_playback._words, mark);
            }

            /// <summary>All of it has been written.</summary>
            public void End()
            {
                lock (_playback._gate)
                {
                    HasEnded = true;
                }
            }

            private void Add(MarkTrack track, Mark mark)
            {
                lock (_playback._gate)
                {
                    if (!HasEnded)
                    {
                        long start = Base + mark.Start;
                        track.Add(new Mark(mark.Text, start, mark.Duration, mark.TextEnd));
                    }
                }
            }
        }
    }
}
