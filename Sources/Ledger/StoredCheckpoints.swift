/// Signed checkpoints in files: a ledger's own, and those that somebody has kept.
public enum StoredCheckpoints {
    /// The most bytes a file of kept checkpoints may have.
    static let fileBound = 64 << 20

    /// The newest checkpoint of a ledger, with the note that it was signed as; `nil` where none was signed yet.
    public static func newest(
        in path: String, origin: String, keys: [NoteVerifier]
    ) throws(LedgerError) -> (checkpoint: Checkpoint, note: String)? {
        let directory = LedgerDirectory(path: path)
        for first in try directory.segments(.checkpoints).reversed() {
            let notes = try NoteFile.notes(in: SmallFile.read(directory.path(first, .checkpoints))).notes
            guard let note = notes.last else { continue }
            return (try Checkpoint(verifying: SignedNote(parsing: note), origin: origin, by: keys), note)
        }
        return nil
    }

    /// The notes in a file: one, or several with empty lines between them, as a witness keeps them.
    public static func notes(in bytes: [UInt8]) throws(LedgerError) -> [String] {
        guard bytes.count <= fileBound else { throw LedgerError(.invalidNote, "too long for a file of checkpoints") }
        // Whatever ends the file, it ends as each note in it does.
        var bytes = bytes
        while bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        let (notes, byteCount) = NoteFile.notes(in: bytes + Array("\n\n".utf8))
        guard !notes.isEmpty, byteCount == bytes.count + 2 else {
            throw LedgerError(.invalidNote, "not a checkpoint: origin, size, root, an empty line, signatures")
        }
        return notes
    }
}
