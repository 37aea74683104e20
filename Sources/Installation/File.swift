internal import Glibc

/// Small files and directories of an installation. Errors carry the system's words.
enum File {
    /// The bytes of a file; `nil` when there is none.
    static func read(_ path: String) throws -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw failure(path)
        }
        defer { close(descriptor) }
        return try readAll(descriptor, path)
    }

    static func readText(_ path: String) throws -> String? {
        try read(path).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Everything from where the descriptor stands to the end.
    static func readAll(_ descriptor: Int32, _ path: String) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            guard count >= 0 else { throw failure(path) }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
        }
    }

    /// Writes a file so that it is there whole or not at all, also after a power failure.
    ///
    /// - Parameter owner: who gets the file, where that is somebody else.
    static func write(_ bytes: [UInt8], to path: String, mode: mode_t, owner: SystemUser? = nil) throws {
        let temporary = "\(path).new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
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

    /// Makes a directory and those above it; leaves one alone that is there.
    static func makeDirectory(_ path: String, mode: mode_t) throws {
        if isDirectory(path) { return }
        let parent = directory(of: path)
        if parent != path { try makeDirectory(parent, mode: 0o755) }
        guard mkdir(path, mode) == 0 else { throw failure(path) }
        guard chmod(path, mode) == 0 else { throw failure(path) }
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
        let descriptor = open(directory(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}
