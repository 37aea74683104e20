internal import Glibc

/// Small files and directories of an installation. Errors carry the system's words.
///
/// `drawbridge up` may run as root where others own directories: nothing here follows a symbolic link that stands in a
/// file's own place, waits for a pipe's other end, or believes a file that is somebody else's.
enum File {
    /// The most that `read` takes.
    static let readBound = 1 << 20

    /// Who must have made a file.
    enum Ownership {
        /// This process's user, and nobody else may write to it.
        case own
        case anybody
    }

    /// The bytes of a regular file; `nil` when there is none.
    ///
    /// - Parameter bound: the most bytes it may have.
    static func read(
        _ path: String, ownership: Ownership = .anybody, bound: Int = readBound
    ) throws -> [UInt8]? {
        guard let descriptor = try open(path, O_RDONLY, ownership: ownership) else { return nil }
        defer { close(descriptor) }
        return try readAll(descriptor, path, bound: bound)
    }

    static func readText(_ path: String, ownership: Ownership = .anybody) throws -> String? {
        try read(path, ownership: ownership).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Everything from where the descriptor stands to the end.
    static func readAll(_ descriptor: Int32, _ path: String, bound: Int = .max) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            guard count >= 0 else { throw failure(path) }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            guard bytes.count <= bound else { throw InstallationError("\(path) has more than \(bound) bytes") }
        }
    }

    /// Opens a regular file; `nil` when there is none.
    static func open(_ path: String, _ flags: Int32, mode: mode_t = 0, ownership: Ownership) throws -> Int32? {
        let descriptor = Glibc.open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, mode)
        guard descriptor >= 0 else {
            switch errno {
            case ENOENT: return nil
            case ELOOP: throw InstallationError("\(path) is a symbolic link", remedy: "put the file itself there")
            default: throw failure(path)
            }
        }
        do {
            var status = stat()
            guard fstat(descriptor, &status) == 0 else { throw failure(path) }
            guard status.st_mode & S_IFMT == S_IFREG else {
                throw InstallationError("\(path) is no regular file", remedy: "remove it")
            }
            if ownership == .own { try requireOwn(status, path) }
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// Refuses what another user owns or may write to: they would decide what this user does.
    private static func requireOwn(_ status: stat, _ path: String, or owner: SystemUser? = nil) throws {
        guard status.st_uid == geteuid() || status.st_uid == owner?.id else {
            throw InstallationError(
                "\(path) belongs to somebody else (user \(status.st_uid))",
                remedy: "run as that user, remove it, or choose another home by \(Home.variable)")
        }
        guard status.st_mode & 0o022 == 0 else {
            throw InstallationError("others may write to \(path)", remedy: "chmod go-w \(path)")
        }
    }

    /// Writes a file so that it is there whole or not at all, also after a power failure.
    ///
    /// - Parameter owner: who gets the file, where that is somebody else.
    static func write(_ bytes: [UInt8], to path: String, mode: mode_t, owner: SystemUser? = nil) throws {
        let temporary = "\(path).new"
        unlink(temporary)
        let descriptor = Glibc.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw failure(temporary) }
        defer { close(descriptor) }
        do {
            // The mode given to `open` is subject to the umask.
            guard fchmod(descriptor, mode) == 0 else { throw failure(temporary) }
            if let owner, fchown(descriptor, owner.id, owner.groupID) != 0 { throw failure(temporary) }
            try writeAll(bytes, to: descriptor, temporary)
            guard fsync(descriptor) == 0, rename(temporary, path) == 0 else { throw failure(path) }
            synchronizeDirectory(of: path)
        } catch {
            unlink(temporary)
            throw error
        }
    }

    static func write(_ text: String, to path: String, mode: mode_t, owner: SystemUser? = nil) throws {
        try write(Array(text.utf8), to: path, mode: mode, owner: owner)
    }

    static func writeAll(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws {
        try bytes.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                guard count > 0 else { throw failure(path) }
                rest = rest.dropFirst(count)
            }
        }
    }

    /// Makes a directory and those above it. One that is there keeps its mode, but must be a directory, not a link to
    /// one, of this user or `owner`, that nobody else may write to.
    ///
    /// - Parameter owner: who gets the directory, where that is somebody else.
    static func makeDirectory(_ path: String, mode: mode_t, owner: SystemUser? = nil) throws {
        try makeAncestors(of: path)
        let isNew = mkdir(path, mode) == 0
        guard isNew || errno == EEXIST else { throw failure(path) }
        var status = stat()
        guard lstat(path, &status) == 0 else { throw failure(path) }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw InstallationError("\(path) is no directory, or a link to one", remedy: "remove it")
        }
        try requireOwn(status, path, or: owner)
        guard isNew || owner != nil else { return }
        // From here on what was looked at is held, whoever moves names around.
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        guard fstat(descriptor, &status) == 0 else { throw failure(path) }
        try requireOwn(status, path, or: owner)
        // The mode given to `mkdir` is subject to the umask.
        if isNew, fchmod(descriptor, mode) != 0 { throw failure(path) }
        if let owner, fchown(descriptor, owner.id, owner.groupID) != 0 { throw failure(path) }
    }

    private static func makeAncestors(of path: String) throws {
        let parent = directory(of: path)
        guard !isDirectory(parent) else { return }
        try makeAncestors(of: parent)
        guard mkdir(parent, 0o755) == 0 else { throw failure(parent) }
    }

    /// Replaces what `path` names by a symbolic link, in one step.
    static func link(_ path: String, to target: String) throws {
        let temporary = "\(path).new"
        unlink(temporary)
        guard symlink(target, temporary) == 0 else { throw failure(temporary) }
        guard rename(temporary, path) == 0 else { throw failure(path) }
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Follows symbolic links.
    static func isDirectory(_ path: String) -> Bool { status(path).map { $0.st_mode & S_IFMT == S_IFDIR } ?? false }

    /// Follows symbolic links.
    static func status(_ path: String) -> stat? {
        var status = stat()
        return stat(path, &status) == 0 ? status : nil
    }

    /// Where a path leads without symbolic links; `nil` when it leads nowhere.
    static func resolve(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    static func names(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func failure(_ path: String) -> InstallationError {
        InstallationError("\(path): \(String(cString: strerror(errno)))")
    }

    /// A rename is safe from a power failure only once its directory is on disk.
    private static func synchronizeDirectory(of path: String) {
        let descriptor = Glibc.open(directory(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}
