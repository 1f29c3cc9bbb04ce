// A mouth that moves from shape to shape.
using System;

namespace Voxswap.Playback
{
    /// <summary>
    /// Weights of the 15 mouth shapes, in the order of OVR LipSync and OpenXR. "sil" is a shut mouth:
    /// all weights are 0. Not thread-safe.
    /// </summary>
    public sealed class Mouth
    {
        /// <summary>Names of the shapes, as viseme marks have them.</summary>
        public static readonly string[] Shapes =
        {
            "sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou",
        };

        private readonly float _secondsToOpen;
        private readonly float[] _weights = new float[Shapes.Length];

        /// <summary>A shape takes <paramref name="secondsToOpen"/> to be reached from a shut mouth.</summary>
        public Mouth(float secondsToOpen)
        {
            _secondsToOpen = Math.Max(secondsToOpen, 1e-3f);
        }

        /// <summary>From 0 to 1, by shape.</summary>
        public float[] Weights
        {
            get { return _weights; }
        }

        /// <summary>Goes on by a frame; a name that is no shape shuts the mouth.</summary>
        public void Step(string shape, float seconds)
        {
            float most = seconds / _secondsToOpen;
            for (int i = 0; i < _weights.Length; i++)
            {
                float target = i > 0 && Shapes[i] == shape ? 1 : 0;
                float way = target - _weights[i];
                _weights[i] += Math.Max(-most, Math.Min(most, way));
            }
        }
    }
}
