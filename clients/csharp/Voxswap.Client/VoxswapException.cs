// Why a call failed.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Google.Rpc;
using Grpc.Core;

namespace Voxswap.Client
{
    /// <summary>An error of the server, or of the way to it.</summary>
    public sealed class VoxswapException : Exception
    {
        internal VoxswapException(string message, StatusCode code, Exception? inner)
            : base(message, inner)
        {
            Code = code;
        }

        /// <summary>The status code of gRPC.</summary>
        public StatusCode Code { get; }

        /// <summary>Stable, made for programs: VOICE_NOT_FOUND, OVERLOADED, TOO_LATE, …; may be empty.</summary>
        public string Reason { get; internal set; } = "";

        /// <summary>Each field at fault, and what is wrong with it.</summary>
        public IReadOnlyList<KeyValuePair<string, string>> Violations { get; internal set; } =
            Array.Empty<KeyValuePair<string, string>>();

        /// <summary>How long to wait before the next try, if the server said so.</summary>
        public TimeSpan? RetryAfter { get; internal set; }
    }

    internal static class Errors
    {
        internal static VoxswapException Incomplete()
        {
            return new VoxswapException(
                "the stream ended without a trailer: the line is cut off; ask for it again",
                StatusCode.DataLoss, null) { Reason = "INCOMPLETE" };
        }

        internal static async Task<T> Typed<T>(Func<Task<T>> call)
        {
            try
            {
                return await call().ConfigureAwait(false);
            }
            catch (RpcException error)
            {
                throw From(error);
            }
        }

        private static VoxswapException From(RpcException error)
        {
            var made = new VoxswapException(error.Status.Detail, error.StatusCode, error);
            var status = error.GetRpcStatus();
            if (status == null)
            {
                return made;
            }
            made.Reason = status.GetDetail<ErrorInfo>()?.Reason ?? "";
            made.RetryAfter = status.GetDetail<RetryInfo>()?.RetryDelay?.ToTimeSpan();
            var faults = status.GetDetail<BadRequest>()?.FieldViolations;
            if (faults != null)
            {
                made.Violations = faults
                    .Select(fault => new KeyValuePair<string, string>(fault.Field, fault.Description))
                    .ToArray();
            }
            return made;
        }
    }
}
