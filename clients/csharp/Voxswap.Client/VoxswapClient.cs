// The client for .NET: thin over the generated stubs, with typed errors.
using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;
using Grpc.Core;
using Grpc.Net.Client;
using Voxswap.V1;

namespace Voxswap.Client
{
    /// <summary>
    /// Speaks to one voxswap server. Thread-safe. Everything throws <see cref="VoxswapException"/>;
    /// cancelling a token ends the call, and the server stops computing.
    /// </summary>
    /// <remarks>
    /// In Unity, give options with <c>HttpHandler = new YetAnotherHttpHandler { Http2Only = true }</c>:
    /// its own HTTP has no HTTP/2.
    /// </remarks>
    public sealed class VoxswapClient : IDisposable
    {
        private readonly GrpcChannel _channel;
        private readonly SpeechService.SpeechServiceClient _speech;
        private readonly VoiceService.VoiceServiceClient _voices;

        public VoxswapClient(
            string address = "http://127.0.0.1:50051", GrpcChannelOptions? options = null)
        {
            _channel = GrpcChannel.ForAddress(address, options ?? new GrpcChannelOptions());
            _speech = new SpeechService.SpeechServiceClient(_channel);
            _voices = new VoiceService.VoiceServiceClient(_channel);
        }

        /// <summary>
        /// Speaks a line: a header, chunks in order, and a trailer, each as it arrives. Leaving the
        /// loop early ends the call. A stream that ends without a trailer or a receipt is not complete,
        /// and throws INCOMPLETE.
        /// </summary>
        public async IAsyncEnumerable<SynthesizeResponse> SynthesizeAsync(
            SynthesizeRequest request, [EnumeratorCancellation] CancellationToken cancel = default)
        {
            using var call = _speech.Synthesize(request, cancellationToken: cancel);
            var isWhole = false;
            while (await Errors.Typed(() => call.ResponseStream.MoveNext(cancel)))
            {
                var part = call.ResponseStream.Current;
                isWhole = part.Trailer != null || part.Interrupted != null;
                yield return part;
            }
            if (!isWhole)
            {
                throw Errors.Incomplete();
            }
        }

        /// <summary>Begins to speak a text that is still being written.</summary>
        public VoxswapConversation Converse(
            SynthesizeRequest start, CancellationToken cancel = default)
        {
            return new VoxswapConversation(_speech.Converse(cancellationToken: cancel), start, cancel);
        }

        /// <summary>Stops a stream by its Header.StreamId; what of it had been sent.</summary>
        public async Task<InterruptReceipt> InterruptAsync(
            string streamId, CancellationToken cancel = default)
        {
            var request = new InterruptRequest { StreamId = streamId };
            var answer = await Errors.Typed(
                () => _speech.InterruptAsync(request, cancellationToken: cancel).ResponseAsync);
            return answer.Receipt;
        }

        /// <summary>Begins to load the voices of a scene; answers at once what that does.</summary>
        public Task<PrepareResponse> PrepareAsync(
            PrepareRequest request, CancellationToken cancel = default)
        {
            return Errors.Typed(
                () => _speech.PrepareAsync(request, cancellationToken: cancel).ResponseAsync);
        }

        /// <summary>Voices by id, each at its newest version, a page at a time.</summary>
        public async IAsyncEnumerable<Voice> VoicesAsync(
            ListVoicesRequest? filter = null,
            [EnumeratorCancellation] CancellationToken cancel = default)
        {
            var request = filter?.Clone() ?? new ListVoicesRequest();
            do
            {
                var page = await Errors.Typed(
                    () => _voices.ListVoicesAsync(request, cancellationToken: cancel).ResponseAsync);
                foreach (var voice in page.Voices)
                {
                    yield return voice;
                }
                request.PageToken = page.NextPageToken;
            }
            while (request.PageToken.Length > 0);
        }

        public void Dispose()
        {
            _channel.Dispose();
        }
    }
}
