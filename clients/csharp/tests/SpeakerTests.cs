// The component beside a stub of its engine, against a real server with the voice joe.
using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using System.Threading;
using UnityEngine;
using Voxswap.Playback;
using Voxswap.Unity;
using Voxswap.Wire;

public sealed class SpeakerTests
{
    // Unity's main thread: what awaits comes back to it, a frame at a time.
    private sealed class MainThread : SynchronizationContext
    {
        private readonly BlockingCollection<Action> _posted = new BlockingCollection<Action>();

        public override void Post(SendOrPostCallback callback, object state)
        {
            _posted.Add(() => callback(state));
        }

        public void Run()
        {
            Action action;
            while (_posted.TryTake(out action, 2))
            {
                action();
            }
        }
    }

    private readonly MainThread _main = new MainThread();
    private readonly AudioSource _source = new AudioSource();
    private readonly SkinnedMeshRenderer _face = new SkinnedMeshRenderer();
    private readonly VoxswapSpeaker _speaker = new VoxswapSpeaker();
    private readonly List<VoxswapException> _errors = new List<VoxswapException>();

    public SpeakerTests()
    {
        SynchronizationContext.SetSynchronizationContext(_main);
        _face.sharedMesh.shapes.Add("smile");
        _face.sharedMesh.shapes.AddRange(Mouth.Shapes.Select(shape => "viseme_" + shape));
        _speaker.Beside[typeof(AudioSource)] = _source;
        _speaker.Address = Check.Server;
        _speaker.Voice = "joe";
        _speaker.Face = _face;
        _speaker.Failed += _errors.Add;
        Call("OnEnable");
    }

    private void Call(string message)
    {
        typeof(VoxswapSpeaker)
            .GetMethod(message, BindingFlags.Instance | BindingFlags.NonPublic)
            .Invoke(_speaker, null);
    }

    private void Frame()
    {
        _main.Run();
        _source.Advance(800); // a sixtieth of a second
        Call("LateUpdate");
    }

    private float Loudest(int from)
    {
        return _source.heard.Skip(from).Select(sample => Math.Abs(sample))
            .DefaultIfEmpty().Max();
    }

    private void Until(Func<bool> holds)
    {
        for (int frames = 0; !holds(); frames++)
        {
            Check.That(frames < 20000, "it never came to that");
            Frame();
        }
    }

    private bool IsShut()
    {
        return _face.weights.Values.All(weight => weight == 0);
    }

    public void ALineIsHeardAndTheMouthMovesWithItAndShuts()
    {
        Check.That(_source.clip.isStream && _source.loop, "a streamed clip, looped");
        _speaker.Speak("Halt! Who goes there?");
        Check.That(_speaker.IsSpeaking, "from the call on");
        HashSet<int> seen = new HashSet<int>();
        Until(() =>
        {
            seen.UnionWith(_face.weights.Where(each => each.Value > 50).Select(each => each.Key));
            return !_speaker.IsSpeaking;
        });
        Check.Same(0, _errors.Count);
        Check.That(Loudest(0) > 0.1f, "it can be heard");
        Check.That(seen.Count >= 4, "shapes: " + seen.Count);
        Check.That(!seen.Contains(0) && !_face.weights.ContainsKey(0), "a smile is none of ours");
        Until(IsShut);
        Call("OnDisable");
    }

    public void LinesAreHeardOneAfterTheOther()
    {
        _speaker.Speak("One.");
        _speaker.Speak("Two.");
        Until(() => !_speaker.IsSpeaking);
        // Two stretches of sound, with a breath of silence around them.
        int sounds = 0;
        int silent = 20000;
        foreach (float sample in _source.heard)
        {
            bool isLoud = Math.Abs(sample) > 0.02f;
            if (isLoud && silent > 2400)
            {
                sounds++;
            }
            silent = isLoud ? 0 : silent + 1;
        }
        Check.That(sounds >= 2, "sounds: " + sounds);
        Check.Same(0, _errors.Count);
        Call("OnDisable");
    }

    public void AnInterruptionIsHeardAtOnceAndTheNextLineIsWhole()
    {
        string text = string.Concat(
            Enumerable.Repeat("The road goes ever on and on, down from the door. ", 20).ToArray());
        _speaker.Speak(text);
        // The stub plays as fast as it can, with silence where nothing has come in time.
        Func<int> said = () => _source.heard.Count(sample => sample != 0);
        Until(() => said() > 72000);
        int saidSamples = said();
        Heard heard = _speaker.Interrupt();
        int stopped = _source.heard.Count;
        Check.That(heard.LastWord != "" && text.Substring(0, heard.TextEnd).EndsWith(heard.LastWord),
            "heard until " + heard.LastWord);
        Check.That(Math.Abs(heard.Samples - saidSamples) < 0.02 * saidSamples,
            "heard " + heard.Samples + " of " + saidSamples);
        Check.That(!_speaker.IsSpeaking, "it is over");
        for (int i = 0; i < 60; i++)
        {
            Frame();
        }
        Check.That(Loudest(stopped + 1024) == 0, "nothing follows");
        Check.That(IsShut(), "the mouth is shut");
        int silent = _source.heard.Count;
        _speaker.Speak("Never mind.");
        Until(() => !_speaker.IsSpeaking);
        Check.That(Loudest(silent) > 0.1f, "the next line can be heard");
        Check.Same(0, _errors.Count);
        Call("OnDisable");
    }

    public void AnUnknownVoiceIsToldAndLeavesTheNextLineAlone()
    {
        SpeechRequest request = new SpeechRequest();
        request.Voice = "nobody";
        request.Text = "Halt!";
        _speaker.Speak(request);
        _speaker.Speak("Halt!");
        Until(() => !_speaker.IsSpeaking);
        Check.Same(1, _errors.Count);
        Check.Same("VOICE_NOT_FOUND", _errors[0].Reason);
        Check.That(Loudest(0) > 0.1f, "the next line can be heard");
        Call("OnDisable");
    }

    public void AServerThatIsNotThereIsTold()
    {
        _speaker.Address = "ws://127.0.0.1:9/v1/converse";
        _speaker.Speak("Halt!");
        Until(() => _errors.Count > 0);
        Check.Same("DISCONNECTED", _errors[0].Reason);
        Check.That(!_speaker.IsSpeaking, "it is over");
        Call("OnDisable");
    }

    public void WhoeverIsDisabledWhileItSpeaksStopsTheServerToo()
    {
        _speaker.Speak("Halt! Who goes there? The bridge is closed after dark.");
        Until(() => Loudest(0) > 0.1f);
        Call("OnDisable");
        Check.That(!_source.isPlaying && IsShut(), "silent, and shut");
    }
}
