// The few types of UnityEngine that the component uses, as far as a test needs them.
using System;
using System.Collections.Generic;

namespace UnityEngine
{
    [AttributeUsage(AttributeTargets.Field)]
    public sealed class TooltipAttribute : Attribute
    {
        public TooltipAttribute(string text)
        {
        }
    }

    [AttributeUsage(AttributeTargets.Class)]
    public sealed class RequireComponentAttribute : Attribute
    {
        public RequireComponentAttribute(Type type)
        {
        }
    }

    public class Component
    {
        public readonly Dictionary<Type, object> Beside = new Dictionary<Type, object>();

        public T GetComponent<T>()
        {
            return (T)Beside[typeof(T)];
        }
    }

    public class MonoBehaviour : Component
    {
    }

    public static class AudioSettings
    {
        public static int outputSampleRate = 48000;
    }

    public static class Time
    {
        public static float deltaTime = 1f / 60;
    }

    public sealed class AudioClip
    {
        public delegate void PCMReaderCallback(float[] data);

        public delegate void PCMSetPositionCallback(int position);

        public int samples;
        public bool isStream;
        public PCMReaderCallback read;
        public PCMSetPositionCallback seek;

        public static AudioClip Create(string name, int lengthSamples, int channels, int frequency,
            bool stream, PCMReaderCallback read, PCMSetPositionCallback seek)
        {
            AudioClip clip = new AudioClip();
            clip.samples = lengthSamples;
            clip.isStream = stream && channels == 1 && frequency == AudioSettings.outputSampleRate;
            clip.read = read;
            clip.seek = seek;
            return clip;
        }
    }

    // Reads ahead of what is heard, as an engine does.
    public sealed class AudioSource : Component
    {
        public const int AheadSamples = 4096;

        public AudioClip clip;
        public bool loop;
        public int timeSamples;
        public bool isPlaying;
        public readonly List<float> heard = new List<float>();
        private readonly Queue<float> _ahead = new Queue<float>();

        public void Play()
        {
            _ahead.Clear();
            timeSamples = 0;
            clip.seek(0);
            isPlaying = true;
            ReadAhead();
        }

        public void Stop()
        {
            isPlaying = false;
        }

        // So many samples leave the loudspeaker.
        public void Advance(int count)
        {
            if (!isPlaying)
            {
                return;
            }
            for (int i = 0; i < count; i++)
            {
                heard.Add(_ahead.Dequeue());
                ReadAhead();
            }
            timeSamples = (timeSamples + count) % clip.samples;
        }

        private void ReadAhead()
        {
            while (_ahead.Count < AheadSamples)
            {
                float[] data = new float[1024];
                clip.read(data);
                foreach (float sample in data)
                {
                    _ahead.Enqueue(sample);
                }
            }
        }
    }

    public sealed class Mesh
    {
        public readonly List<string> shapes = new List<string>();

        public int GetBlendShapeIndex(string name)
        {
            return shapes.IndexOf(name);
        }
    }

    public sealed class SkinnedMeshRenderer : Component
    {
        public Mesh sharedMesh = new Mesh();
        public readonly Dictionary<int, float> weights = new Dictionary<int, float>();

        public void SetBlendShapeWeight(int index, float weight)
        {
            weights[index] = weight;
        }
    }
}
