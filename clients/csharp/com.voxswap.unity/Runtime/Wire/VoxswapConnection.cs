// The server's WebSocket: several conversations at a time.
using System;
using System.Collections.Generic;
using System.IO;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Newtonsoft.Json;
using Newtonsoft.Json.Linq;

namespace Voxswap.Wire
{
    /// <summary>One socket to <c>ws://host:8080/v1/converse</c>. Thread-safe.</summary>
    public sealed class VoxswapConnection : IDisposable
    {
        private readonly ClientWebSocket _socket = new ClientWebSocket();
        private readonly SemaphoreSlim _sending = new SemaphoreSlim(1, 1);
        private readonly CancellationTokenSource _closing = new CancellationTokenSource();
        private readonly Dictionary<string, ISpeechListener> _listeners =
            new Dictionary<string, ISpeechListener>(); // guarded by itself
        private bool _isClosed; // guarded by _listeners
        private int _lastId;

        private VoxswapConnection()
        {
        }

        /// <summary>Connects. Throws <see cref="VoxswapException"/> if that cannot be.</summary>
        public static async Task<VoxswapConnection> ConnectAsync(Uri uri, CancellationToken cancel)
        {
            VoxswapConnection made = new VoxswapConnection();
            try
            {
                await made._socket.ConnectAsync(uri, cancel).ConfigureAwait(false);
            }
            catch (Exception error)
            {
                made.Dispose();
                if (error is OperationCanceledException && cancel.IsCancellationRequested)
                {
                    throw;
                }
                throw Disconnected(uri + " cannot be reached: " + error.Message);
            }
            _ = made.ReceiveAsync(); // listeners hear of what goes wrong
            return made;
        }

        /// <summary>Whether conversations can be begun.</summary>
        public bool IsOpen
        {
            get
            {
                lock (_listeners)
                {
                    return !_isClosed;
                }
            }
        }

        /// <summary>
        /// Begins a conversation. What comes of it, the listener hears; also that it cannot begin.
        /// For a single line, call <see cref="VoxswapConversation.EndAsync"/> next.
        /// </summary>
        public async Task<VoxswapConversation> StartAsync(
            SpeechRequest request, ISpeechListener listener)
        {
            string id = "c" + Interlocked.Increment(ref _lastId);
            lock (_listeners)
            {
                if (_isClosed)
                {
                    throw Disconnected("the connection is closed; make another one");
                }
                _listeners[id] = listener;
            }
            await SendAsync(request.Frame(id)).ConfigureAwait(false);
            return new VoxswapConversation(this, id);
        }

        /// <summary>Ends every conversation, and the connection. Idempotent.</summary>
        public void Dispose()
        {
            _closing.Cancel();
            _socket.Dispose();
            FailAll(Disconnected("the connection was closed"));
        }

        /// <summary>Does nothing for a conversation that has ended.</summary>
        internal Task SayAsync(string id, string type, string text)
        {
            lock (_listeners)
            {
                if (!_listeners.ContainsKey(id))
                {
                    return Task.FromResult(0);
                }
                if (type == "cancel")
                {
                    _listeners.Remove(id);
                }
            }
            JObject frame = new JObject();
            frame["type"] = type;
            frame["conversation"] = id;
            if (text != null)
            {
                frame["text"] = text;
            }
            return SendAsync(frame);
        }

        private async Task SendAsync(JObject frame)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(frame.ToString(Formatting.None));
            await _sending.WaitAsync().ConfigureAwait(false);
            try
            {
                await _socket.SendAsync(new ArraySegment<byte>(bytes), WebSocketMessageType.Text,
                    true, _closing.Token).ConfigureAwait(false);
            }
            catch (Exception)
            {
                // Whoever listens hears of it from the side that receives.
            }
            finally
            {
                _sending.Release();
            }
        }

        private async Task ReceiveAsync()
        {
            byte[] buffer = new byte[1 << 16];
            JObject chunk = null; // its audio is the next message
            try
            {
                for (;;)
                {
                    MemoryStream message = new MemoryStream();
                    WebSocketReceiveResult piece;
                    do
                    {
                        piece = await _socket.ReceiveAsync(new ArraySegment<byte>(buffer),
                            _closing.Token).ConfigureAwait(false);
                        message.Write(buffer, 0, piece.Count);
                    }
                    while (!piece.EndOfMessage);
                    if (piece.MessageType == WebSocketMessageType.Close)
                    {
                        FailAll(Disconnected("the server closed the connection: "
                            + _socket.CloseStatusDescription));
                        return;
                    }
                    byte[] bytes = message.ToArray();
                    if (piece.MessageType == WebSocketMessageType.Binary)
                    {
                        await TakeAudio(chunk, bytes).ConfigureAwait(false);
                        chunk = null;
                        continue;
                    }
                    JObject frame = JObject.Parse(Encoding.UTF8.GetString(bytes));
                    if ((string)frame["type"] == "chunk")
                    {
                        chunk = frame;
                    }
                    else
                    {
                        Take(frame);
                    }
                }
            }
            catch (Exception error)
            {
                FailAll(Disconnected("the connection broke: " + error.Message));
            }
        }

        private Task TakeAudio(JObject chunk, byte[] bytes)
        {
            ISpeechListener listener = chunk == null ? null : Listener(chunk, false);
            return listener == null
                ? Task.FromResult(0) : listener.Came(Frames.Chunk(chunk, bytes));
        }

        private void Take(JObject frame)
        {
            string type = (string)frame["type"];
            if (type == "error" && frame["conversation"] == null)
            {
                FailAll(Frames.Error(frame));
                return;
            }
            ISpeechListener listener = Listener(frame, type == "trailer" || type == "error");
            if (listener == null)
            {
                return; // it was cancelled here
            }
            switch (type)
            {
                case "header":
                    listener.Began(Frames.Header(frame));
                    break;
                case "interrupted":
                    listener.Interrupted(Frames.Receipt(frame));
                    break;
                case "trailer":
                    listener.Ended();
                    break;
                case "error":
                    listener.Failed(Frames.Error(frame));
                    break;
            }
        }

        private ISpeechListener Listener(JObject frame, bool isLast)
        {
            string id = (string)frame["conversation"] ?? "";
            lock (_listeners)
            {
                ISpeechListener found;
                _listeners.TryGetValue(id, out found);
                if (isLast)
                {
                    _listeners.Remove(id);
                }
                return found;
            }
        }

        private void FailAll(VoxswapException error)
        {
            List<ISpeechListener> listeners;
            lock (_listeners)
            {
                _isClosed = true;
                listeners = new List<ISpeechListener>(_listeners.Values);
                _listeners.Clear();
            }
            foreach (ISpeechListener listener in listeners)
            {
                listener.Failed(error);
            }
        }

        private static VoxswapException Disconnected(string message)
        {
            return new VoxswapException("DISCONNECTED", message, null);
        }
    }

    /// <summary>Text in; what is said of it, the listener hears. Thread-safe.</summary>
    public sealed class VoxswapConversation
    {
        private readonly VoxswapConnection _connection;
        private readonly string _id;

        internal VoxswapConversation(VoxswapConnection connection, string id)
        {
            _connection = connection;
            _id = id;
        }

        /// <summary>More text. Whole sentences are spoken as soon as they are certain.</summary>
        public Task SendAsync(string text)
        {
            return _connection.SayAsync(_id, "text", text);
        }

        /// <summary>Speaks what has come so far, even if it ends within a sentence.</summary>
        public Task FlushAsync()
        {
            return _connection.SayAsync(_id, "flush", null);
        }

        /// <summary>Stops speaking; the listener gets a receipt, and more text may follow.</summary>
        public Task InterruptAsync()
        {
            return _connection.SayAsync(_id, "interrupt", null);
        }

        /// <summary>All is said.</summary>
        public Task EndAsync()
        {
            return _connection.SayAsync(_id, "end", null);
        }

        /// <summary>Drops it; the listener hears nothing more, and the server stops computing.</summary>
        public Task CancelAsync()
        {
            return _connection.SayAsync(_id, "cancel", null);
        }
    }
}
