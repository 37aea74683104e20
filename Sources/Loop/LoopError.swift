internal import CLibUV

/// A system call that failed.
public struct LoopError: Error, Equatable, CustomStringConvertible {
    /// What went wrong, in the terms a caller decides by.
    public enum Code: Sendable, Equatable {
        /// The stream was closed by this process while the call waited.
        case closed
        /// A deadline passed.
        case timedOut
        /// The peer is not there: refused, reset, gone, no such socket.
        case unreachable
        /// The input is over the bound of its buffer.
        case tooLarge
        /// Anything else; `description` has the system's words.
        case system
    }

    public let code: Code

    /// The negative `errno`; 0 where no system call failed.
    public let status: CInt

    /// What was being done, such as `connect`.
    public let operation: StaticString

    init(_ status: CInt, _ operation: StaticString) {
        self.status = status
        self.operation = operation
        switch uv_errno_t(status) {
        case UV_ECANCELED, UV_EBADF: code = .closed
        case UV_ETIMEDOUT: code = .timedOut
        case UV_ECONNREFUSED, UV_ECONNRESET, UV_EPIPE, UV_ENOENT, UV_ECONNABORTED, UV_EHOSTUNREACH, UV_ENETUNREACH,
            UV_EOF, UV_ENOTCONN, UV_EAGAIN:
            // EAGAIN is what connecting to a unix-domain socket gives when its queue is full.
            code = .unreachable
        default: code = .system
        }
    }

    public init(_ code: Code, _ operation: StaticString) {
        self.code = code
        self.status = 0
        self.operation = operation
    }

    public var description: String {
        status == 0 ? "\(operation): \(code)" : "\(operation): \(String(cString: uv_strerror(status)))"
    }

    public static func == (left: LoopError, right: LoopError) -> Bool {
        left.code == right.code && left.status == right.status
    }
}

/// Throws what a libuv call returned when it is an error.
@discardableResult
func check(_ status: CInt, _ operation: StaticString) throws(LoopError) -> CInt {
    if status < 0 { throw LoopError(status, operation) }
    return status
}
