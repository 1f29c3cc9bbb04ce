// The parts that know no engine.
using System;
using System.Linq;
using System.Threading;
using Voxswap.Playback;

public sealed class PlaybackTests
{
    private static float[] Ramp(int first, int count)
    {
        return Enumerable.Range(first, count).Select(i => (float)i).ToArray();
    }

    public void ARingGivesWhatItTookInOrderAndNoMore()
    {
        SampleRing ring = new SampleRing(5);
        Check.Same(8, ring.Capacity);
        float[] read = new float[8];
        for (int round = 0; round < 20; round++)
        {
            Check.Same(6, ring.Write(Ramp(6 * round, 6), 0, 6));
            Check.Same(6, ring.Read(read, 1, 7));
            Check.SameItems(Ramp(6 * round, 6), read.Skip(1).Take(6));
        }
        Check.Same(8, ring.Write(Ramp(0, 9), 0, 9));
        Check.Same(0, ring.Room);
        Check.Same(0, ring.Write(Ramp(0, 1), 0, 1));
        ring.SkipTo(ring.Taken + 7);
        Check.Same(1, ring.Read(read, 0, 8));
        Check.Same(7f, read[0]);
        ring.SkipTo(long.MaxValue);
        Check.Same(0, ring.Available);
    }

    public void ARingMayBeWrittenWhileItIsRead()
    {
        const int Samples = 1 << 19; // a float counts them exactly
        SampleRing ring = new SampleRing(1000);
        Thread writer = new Thread(() =>
        {
            float[] piece = new float[777];
            for (int done = 0; done < Samples;)
            {
                int n = Math.Min(piece.Length, Samples - done);
                for (int i = 0; i < n; i++)
                {
                    piece[i] = done + i;
                }
                int wrote = ring.Write(piece, 0, n);
                done += wrote;
                if (wrote == 0)
                {
                    Thread.Yield();
                }
            }
        });
        writer.Start();
        float[] read = new float[512];
        for (int next = 0; next < Samples;)
        {
            int n = ring.Read(read, 0, read.Length);
            for (int i = 0; i < n; i++)
            {
                Check.That(read[i] == next + i, "sample " + (next + i) + " is " + read[i]);
            }
            next += n;
            if (n == 0)
            {
                Thread.Yield();
            }
        }
        writer.Join();
    }

    public void AClockKnowsSilenceAndLaps()
    {
        SampleClock clock = new SampleClock(100);
        Check.Same(SampleClock.Silence, clock.HeardAt(0));
        clock.Gave(40, SampleClock.Silence);
        clock.Gave(30, 0);
        clock.Gave(10, SampleClock.Silence);
        clock.Gave(50, 30); // over the end of the clip
        Check.Same(SampleClock.Silence, clock.HeardAt(39));
        Check.Same(0L, clock.HeardAt(40));
        Check.Same(29L, clock.HeardAt(69));
        Check.Same(SampleClock.Silence, clock.HeardAt(70));
        Check.Same(30L, clock.HeardAt(80));
        Check.Same(49L, clock.HeardAt(99));
        Check.Same(50L, clock.HeardAt(0));
        Check.Same(79L, clock.HeardAt(29));
        Check.Same(SampleClock.Silence, clock.HeardAt(30)); // of the lap before
        Check.Same(29L, clock.LastHeardAt(75));
        Check.Same(15L, clock.LastHeardAt(55));
        Check.Same(SampleClock.Silence, clock.LastHeardAt(30));
        clock.Seek(90);
        clock.Gave(5, 80);
        Check.Same(82L, clock.HeardAt(92));
        Check.Same(45L, clock.HeardAt(95));
    }

    public void AClockForgetsNothingThatIsStillToBeHeard()
    {
        SampleClock clock = new SampleClock(1 << 20);
        long said = 0;
        for (int i = 0; i < 10000; i++)
        {
            clock.Gave(7, said);
            clock.Gave(3, SampleClock.Silence);
            said += 7;
            int back = 10 * Math.Min(i, 100);
            Check.Same(said - 7 - 7 * Math.Min(i, 100), clock.HeardAt(10 * i - back));
        }
    }

    public void TheMarkThatIsDueAndTheLastThatWasWhole()
    {
        MarkTrack track = new MarkTrack();
        Mark mark;
        Check.That(!track.At(5, out mark) && !track.LastWhole(5, out mark), "nothing is there");
        track.Add(new Mark("Halt", 10, 20, 4));
        track.Add(new Mark("who", 40, 10, 9));
        track.Add(new Mark("goes", 50, 10, 14));
        Check.That(!track.At(9, out mark), "nothing has begun");
        Check.That(track.At(10, out mark) && mark.Text == "Halt", "the first");
        Check.That(track.At(49, out mark) && mark.Text == "who", "the second");
        Check.That(track.At(9999, out mark) && mark.Text == "goes", "the last");
        Check.That(!track.LastWhole(29, out mark), "within the first");
        Check.That(track.LastWhole(30, out mark) && mark.TextEnd == 4, "the first is whole");
        Check.That(track.LastWhole(55, out mark) && mark.Text == "who", "within the last");
        track.Forget(45);
        Check.Same(2, track.Count);
        Check.That(track.At(45, out mark) && mark.Text == "who", "what is due is kept");
    }

    public void AMouthMovesFromShapeToShapeAndShuts()
    {
        Mouth mouth = new Mouth(0.1f);
        int aa = Array.IndexOf(Mouth.Shapes, "aa");
        int pp = Array.IndexOf(Mouth.Shapes, "PP");
        mouth.Step("aa", 0.05f);
        Check.That(Math.Abs(mouth.Weights[aa] - 0.5f) < 1e-5, "half way");
        mouth.Step("aa", 1);
        Check.Same(1f, mouth.Weights[aa]);
        mouth.Step("PP", 0.025f);
        Check.That(Math.Abs(mouth.Weights[aa] - 0.75f) < 1e-5, "on its way back");
        Check.That(Math.Abs(mouth.Weights[pp] - 0.25f) < 1e-5, "on its way");
        mouth.Step("sil", 1);
        Check.That(mouth.Weights.All(weight => weight == 0), "shut");
        mouth.Step("no such shape", 1);
        Check.That(mouth.Weights.All(weight => weight == 0), "shut");
    }

    private static float[] Read(SpeechPlayback playback, int count)
    {
        float[] data = Enumerable.Repeat(99f, count).ToArray();
        playback.Read(data);
        return data;
    }

    public void SilenceComesWhereNothingHasComeInTimeAndTheMouthShuts()
    {
        SpeechPlayback playback = new SpeechPlayback(1000, 64, 1000);
        Check.SameItems(new float[4], Read(playback, 4));
        SpeechPlayback.Line line = playback.Begin();
        line.AddViseme(new Mark("aa", 0, 4, 0));
        line.AddViseme(new Mark("PP", 4, 4, 0));
        Check.Same(3, line.Write(new float[] { 1, 2, 3 }, 0, 3));
        Check.SameItems(new float[] { 1, 2, 3, 0, 0 }, Read(playback, 5));
        Check.Same(3, line.Write(new float[] { 4, 5, 6 }, 0, 3));
        line.End();
        Check.SameItems(new float[] { 4, 5, 6, 0 }, Read(playback, 4));
        string heard = string.Join(" ",
            Enumerable.Range(2, 12).Select(at => playback.VisemeAt(at)).ToArray());
        Check.Same("sil sil aa aa aa sil sil aa PP PP sil sil", heard);
        Check.That(playback.IsSpeakingAt(11) && !playback.IsSpeakingAt(12), "until its end");
    }

    public void LinesFollowOneAnotherAndEachCountsItsOwnSamples()
    {
        SpeechPlayback playback = new SpeechPlayback(1000, 64, 1000);
        foreach (string shape in new[] { "aa", "ou" })
        {
            SpeechPlayback.Line line = playback.Begin();
            line.AddViseme(new Mark(shape, 0, 2, 0));
            line.AddViseme(new Mark("sil", 2, 0, 0));
            line.Write(new float[] { 1, 1, 1 }, 0, 3);
            line.End();
        }
        Read(playback, 8);
        string heard = string.Join(" ",
            Enumerable.Range(0, 7).Select(at => playback.VisemeAt(at)).ToArray());
        Check.Same("aa aa sil ou ou sil sil", heard);
    }

    public void AnInterruptionFadesDropsAndSaysHowFarItWasHeard()
    {
        SpeechPlayback playback = new SpeechPlayback(1000, 64, 1000);
        SpeechPlayback.Line line = playback.Begin();
        line.AddWord(new Mark("Halt", 0, 4, 4));
        line.AddWord(new Mark("who", 6, 4, 9));
        line.AddViseme(new Mark("aa", 0, 40, 0));
        line.Write(Enumerable.Repeat(1f, 40).ToArray(), 0, 40);
        Read(playback, 8);
        Heard heard = playback.Interrupt(4); // of eight that were read, five were heard
        Check.Same(5L, heard.Samples);
        Check.Same("Halt", heard.LastWord);
        Check.Same(4, heard.TextEnd);
        Check.Same("sil", playback.VisemeAt(4));
        Check.Same(1, line.Write(new float[] { 9 }, 0, 1)); // taken, and dropped
        line.AddWord(new Mark("late", 20, 4, 14));
        float[] rest = Read(playback, 8);
        Check.That(rest[0] < 1 && rest[3] < rest[0] && rest[4] == 0, "it fades in 5 ms");
        Check.SameItems(new float[3], rest.Skip(5));
        Check.That(!playback.IsSpeakingAt(15), "nothing is left");

        SpeechPlayback.Line next = playback.Begin();
        next.AddViseme(new Mark("ou", 0, 2, 0));
        next.Write(new float[] { 7, 8 }, 0, 2);
        Check.SameItems(new float[] { 7, 8, 0 }, Read(playback, 3));
        Check.Same("ou", playback.VisemeAt(16));
        Check.Same(2L, playback.Interrupt(18).Samples); // in the silence behind it
        Check.Same(0L, playback.Interrupt(900).Samples);
    }

    public void WhatIsAskedWhileTheAudioThreadReadsIsNeverTorn()
    {
        const int Lap = 4096;
        SampleClock clock = new SampleClock(Lap);
        bool isDone = false;
        Thread audio = new Thread(() =>
        {
            for (long said = 0; said < 1000000; said += 8)
            {
                clock.Gave(5, said); // a sample and its place agree but for laps
                clock.Gave(3, SampleClock.Silence);
            }
            Volatile.Write(ref isDone, true);
        });
        audio.Start();
        Random random = new Random(1);
        int found = 0;
        for (int more = 100000; more > 0; more -= Volatile.Read(ref isDone) ? 1 : 0)
        {
            int position = random.Next(Lap);
            long heard = clock.HeardAt(position);
            bool isRight = heard % Lap == position && position % 8 < 5;
            Check.That(heard == SampleClock.Silence || isRight, position + " gives " + heard);
            found += isRight ? 1 : 0;
        }
        audio.Join();
        Check.That(found > 0, "nothing was found");
    }
}
