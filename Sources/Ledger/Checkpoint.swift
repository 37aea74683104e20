public import Cryptography

/// What a log says about itself at one moment: so many records, with this root (C2SP tlog-checkpoint).
public struct Checkpoint: Sendable, Hashable {
    /// The identity of the ledger; also the name of the key that signs.
    public let origin: String
    /// The number of records.
    public let size: UInt64
    /// The root of the tree over them.
    public let root: Digest256

    /// A statement to sign or compare.
    public init(origin: String, size: UInt64, root: Digest256) {
        self.origin = origin
        self.size = size
        self.root = root
    }

    /// Reads the text of a note. Extension lines are passed over, as the specification has it.
    public init(parsing text: String) throws(LedgerError) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 4, lines.last == "", lines.dropLast().allSatisfy({ !$0.isEmpty }),
            let size = UInt64(lines[1]), String(size) == lines[1],
            let bytes = Base64.standard.decode(String(lines[2])), let root = Digest256(bytes.span)
        else { throw LedgerError(.invalidNote, "not a checkpoint: origin, size, root, a line each") }
        self.init(origin: String(lines[0]), size: size, root: root)
    }

    /// Takes a signed note for a checkpoint of `origin` if a known key signed it.
    public init(verifying note: SignedNote, origin: String, by verifiers: [NoteVerifier]) throws(LedgerError) {
        try self.init(parsing: note.text(verifiedBy: verifiers))
        guard self.origin == origin else {
            throw LedgerError(.invalidNote, "a checkpoint of \(self.origin), not of \(origin)")
        }
    }

    /// The three lines that are signed.
    public var text: String { "\(origin)\n\(size)\n\(Base64.standard.encode(root))\n" }
}

/// Several notes in one file, each followed by an empty line.
enum NoteFile {
    /// The most bytes one note may have.
    static let noteBound = 64 << 10

    /// What is appended for a note.
    static func entry(_ note: String) -> [UInt8] { Array("\(note)\n".utf8) }

    /// The notes of a file, with how many of its bytes they take up: what is behind them is a torn entry.
    ///
    /// A note of ours has no empty line in its text, so the second empty line ends it.
    static func notes(in bytes: [UInt8]) -> (notes: [String], byteCount: Int) {
        let newline = UInt8(ascii: "\n")
        var notes: [String] = []
        var start = 0
        var emptyLines = 0
        for index in bytes.indices.dropFirst() where bytes[index] == newline && bytes[index - 1] == newline {
            emptyLines += 1
            guard emptyLines == 2 else { continue }
            notes.append(String(decoding: bytes[start..<index], as: UTF8.self))
            start = index + 1
            emptyLines = 0
        }
        return (notes, start)
    }
}
