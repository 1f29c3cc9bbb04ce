// Text in, audio out.
using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;
using Grpc.Core;
using Voxswap.V1;

namespace Voxswap.Client
{
    /// <summary>
    /// A text that is spoken while it is written. One task reads; any may say something. Disposing it
    /// ends it, here and at the server.
    /// </summary>
    public sealed class VoxswapConversation : IDisposable
    {
        private readonly AsyncDuplexStreamingCall<ConverseRequest, ConverseResponse> _call;
        private readonly SemaphoreSlim _writing = new SemaphoreSlim(1, 1); // gRPC takes one at a time
        private readonly CancellationToken _cancel;
        private readonly Task _begun;

        internal VoxswapConversation(
            AsyncDuplexStreamingCall<ConverseRequest, ConverseResponse> call,
            SynthesizeRequest start,
            CancellationToken cancel)
        {
            _call = call;
            _cancel = cancel;
            _begun = WriteAsync(new ConverseRequest { Start = start });
        }

        /// <summary>More text. Whole sentences are spoken as soon as they are certain.</summary>
        public Task SendAsync(string text)
        {
            return SayAsync(new ConverseRequest { Text = text });
        }

        /// <summary>Speaks what has come so far, even if it ends within a sentence.</summary>
        public Task FlushAsync()
        {
            return SayAsync(new ConverseRequest { Flush = new Flush() });
        }

        /// <summary>Stops speaking; a receipt comes, and more text may follow.</summary>
        public Task InterruptAsync()
        {
            return SayAsync(new ConverseRequest { Interrupt = new Interrupt() });
        }

        /// <summary>All is said.</summary>
        public async Task EndAsync()
        {
            await _begun.ConfigureAwait(false);
            await _call.RequestStream.CompleteAsync().ConfigureAwait(false);
        }

        /// <summary>A header, chunks, a receipt for each interruption, and a trailer.</summary>
        public async IAsyncEnumerable<ConverseResponse> ReadAllAsync(
            [EnumeratorCancellation] CancellationToken cancel = default)
        {
            using var both = CancellationTokenSource.CreateLinkedTokenSource(cancel, _cancel);
            var isWhole = false;
            while (await Errors.Typed(() => _call.ResponseStream.MoveNext(both.Token)))
            {
                var part = _call.ResponseStream.Current;
                isWhole = part.Trailer != null;
                yield return part;
            }
            if (!isWhole)
            {
                throw Errors.Incomplete();
            }
        }

        public void Dispose()
        {
            _call.Dispose();
        }

        private async Task SayAsync(ConverseRequest said)
        {
            await _begun.ConfigureAwait(false);
            await WriteAsync(said).ConfigureAwait(false);
        }

        private async Task WriteAsync(ConverseRequest said)
        {
            await _writing.WaitAsync(_cancel).ConfigureAwait(false);
            try
            {
                await Errors.Typed(async () =>
                {
                    await _call.RequestStream.WriteAsync(said).ConfigureAwait(false);
                    return true;
                }).ConfigureAwait(false);
            }
            finally
            {
                _writing.Release();
            }
        }
    }
}
