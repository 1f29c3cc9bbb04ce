// A character that speaks.
using System;
using System.Collections.Concurrent;
using System.Threading;
using System.Threading.Tasks;
using UnityEngine;
using Voxswap.Playback;
using Voxswap.Wire;

namespace Voxswap.Unity
{
    /// <summary>
    /// Speaks through the AudioSource beside it while the audio is still being made, and moves a face
    /// by what is heard. Its methods are for Unity's main thread.
    /// </summary>
    [RequireComponent(typeof(AudioSource))]
    public sealed class VoxswapSpeaker : MonoBehaviour
    {
        [Tooltip("The server's WebSocket")]
        public string Address = "ws://127.0.0.1:8080/v1/converse";

        [Tooltip("npc/smith, npc/smith@3 or npc/smith@stable")]
        public string Voice = "";

        [Tooltip("The face, if there is one")]
        public SkinnedMeshRenderer Face;

        [Tooltip("What the names of its mouth shapes begin with: viseme_ for viseme_PP")]
        public string ShapePrefix = "viseme_";

        [Tooltip("Seconds until a shape is reached from a shut mouth")]
        public float SecondsToOpen = 0.06f;

        // The clip is longer than Unity reads ahead. The server sends at most some seconds ahead of
        // what is heard, and waits when there is no room.
        private const int LapSeconds = 4;
        private const int KeptSeconds = 10;
        private const int MostHertz = 48000; // that the server resamples to

        private AudioSource _source;
        private SpeechPlayback _playback;
        private Mouth _mouth;
        private int[] _shapes;
        private int _rateHertz;
        private VoxswapConnection _connection;
        private Said _said;
        private readonly ConcurrentQueue<VoxswapException> _errors =
            new ConcurrentQueue<VoxswapException>();

        /// <summary>What went wrong with a line. Called on Unity's main thread.</summary>
        public event Action<VoxswapException> Failed;

        /// <summary>Whether something is heard, or is still to be heard.</summary>
        public bool IsSpeaking
        {
            get
            {
                bool isAsked = _said != null && !_said.HasEnded;
                return isAsked || (_playback != null && _playback.IsSpeakingAt(_source.timeSamples));
            }
        }

        /// <summary>Says a line, behind those that are still to be heard.</summary>
        public void Speak(string text)
        {
            SpeechRequest request = new SpeechRequest();
            request.Voice = Voice;
            request.Text = text;
            Speak(request);
        }

        /// <summary>
        /// Says a line; its rate of samples is set here. One line at a time is made: this one begins
        /// when the one before has come whole.
        /// </summary>
        public void Speak(SpeechRequest request)
        {
            request.SampleRateHertz = _rateHertz;
            _said = new Said(this, _said, request);
        }

        /// <summary>Says nothing more: at once here, and at the server. How far it was heard.</summary>
        public Heard Interrupt()
        {
            if (_said != null)
            {
                _said.Cancel();
                _said = null;
            }
            Heard heard = _playback.Interrupt(_source.timeSamples);
            // What Unity has read ahead is dropped.
            _source.Stop();
            _source.Play();
            return heard;
        }

        private void OnEnable()
        {
            _rateHertz = Math.Min(AudioSettings.outputSampleRate, MostHertz);
            int lap = LapSeconds * _rateHertz;
            _playback = new SpeechPlayback(_rateHertz, KeptSeconds * _rateHertz, lap);
            _mouth = new Mouth(SecondsToOpen);
            _shapes = ShapesOf(Face, ShapePrefix);
            _source = GetComponent<AudioSource>();
            _source.clip = AudioClip.Create(
                "voxswap", lap, 1, _rateHertz, true, _playback.Read, _playback.Seek);
            _source.loop = true;
            _source.Play();
        }

        private void OnDisable()
        {
            Interrupt();
            _source.Stop();
            if (_connection != null)
            {
                _connection.Dispose();
                _connection = null;
            }
            Move(10 * SecondsToOpen); // nothing is heard any more: the mouth shuts
        }

        private void LateUpdate()
        {
            VoxswapException error;
            while (_errors.TryDequeue(out error))
            {
                if (Failed != null)
                {
                    Failed(error);
                }
            }
            Move(Time.deltaTime);
        }

        private void Move(float seconds)
        {
            _mouth.Step(_playback.VisemeAt(_source.timeSamples), seconds);
            for (int i = 0; i < _shapes.Length; i++)
            {
                if (_shapes[i] >= 0)
                {
                    Face.SetBlendShapeWeight(_shapes[i], 100 * _mouth.Weights[i]);
                }
            }
        }

        private static int[] ShapesOf(SkinnedMeshRenderer face, string prefix)
        {
            int[] found = new int[Mouth.Shapes.Length];
            for (int i = 0; i < found.Length; i++)
            {
                found[i] = face == null
                    ? -1 : face.sharedMesh.GetBlendShapeIndex(prefix + Mouth.Shapes[i]);
            }
            return found;
        }

        private async Task<VoxswapConnection> ConnectedAsync(CancellationToken cancel)
        {
            if (_connection == null || !_connection.IsOpen)
            {
                _connection = await VoxswapConnection.ConnectAsync(new Uri(Address), cancel);
            }
            return _connection;
        }

        /// <summary>A line that was asked for, until it has come whole.</summary>
        private sealed class Said : ISpeechListener
        {
            private readonly CancellationTokenSource _cancel = new CancellationTokenSource();
            private readonly TaskCompletionSource<bool> _done = new TaskCompletionSource<bool>();
            private readonly VoxswapSpeaker _speaker;
            private Said _before; // until that has come whole
            private SpeechPlayback.Line _line;
            private VoxswapConversation _conversation;

            internal Said(VoxswapSpeaker speaker, Said before, SpeechRequest request)
            {
                _speaker = speaker;
                _before = before;
                _ = RunAsync(request);
            }

            internal bool HasEnded
            {
                get { return _done.Task.IsCompleted; }
            }

            /// <summary>Nothing more comes of it, nor of those before it.</summary>
            internal void Cancel()
            {
                _cancel.Cancel();
                if (_before != null)
                {
                    _before.Cancel();
                }
                if (_conversation != null)
                {
                    _ = _conversation.CancelAsync();
                }
                _done.TrySetResult(false);
            }

            // On Unity's main thread, to which every await comes back.
            private async Task RunAsync(SpeechRequest request)
            {
                try
                {
                    if (_before != null)
                    {
                        await _before._done.Task;
                        _before = null;
                    }
                    VoxswapConnection connection = await _speaker.ConnectedAsync(_cancel.Token);
                    _cancel.Token.ThrowIfCancellationRequested();
                    _line = _speaker._playback.Begin();
                    _conversation = await connection.StartAsync(request, this);
                    if (_cancel.IsCancellationRequested)
                    {
                        await _conversation.CancelAsync();
                        return;
                    }
                    await _conversation.EndAsync();
                }
                catch (OperationCanceledException)
                {
                    _done.TrySetResult(false);
                }
                catch (VoxswapException error)
                {
                    Failed(error);
                }
            }

            public void Began(SpeechHeader header)
            {
            }

            public async Task Came(SpeechChunk chunk)
            {
                foreach (SpeechMark mark in chunk.Marks)
                {
                    Mark made = new Mark(
                        mark.Text, mark.StartSample, mark.DurationSamples, mark.TextEnd);
                    if (mark.IsWord)
                    {
                        _line.AddWord(made);
                    }
                    else
                    {
                        _line.AddViseme(made);
                    }
                }
                int done = 0;
                for (;;)
                {
                    done += _line.Write(chunk.Samples, done, chunk.Samples.Length - done);
                    if (done == chunk.Samples.Length || _cancel.IsCancellationRequested)
                    {
                        return;
                    }
                    await Task.Delay(20).ConfigureAwait(false); // there is no room: it is heard first
                }
            }

            public void Interrupted(InterruptReceipt receipt)
            {
            }

            public void Ended()
            {
                _line.End();
                _done.TrySetResult(true);
            }

            public void Failed(VoxswapException error)
            {
                _speaker._errors.Enqueue(error);
                if (_line != null)
                {
                    _line.End();
                }
                _done.TrySetResult(false);
            }
        }
    }
}
