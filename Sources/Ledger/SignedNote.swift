public import Cryptography

/// Signs notes with an Ed25519 key under a name (C2SP signed-note, signature type 0x01).
public struct NoteSigner: Sendable {
    /// Who can verify what it signs.
    public let verifier: NoteVerifier

    private let key: Ed25519PrivateKey

    /// A signer; the name is best a host and path without scheme, such as "hotel.example/drawbridge/node-1".
    public init(name: String, key: Ed25519PrivateKey) throws(LedgerError) {
        verifier = try NoteVerifier(name: name, key: key.publicKey)
        self.key = key
    }

    /// The note: the text, which must end in a newline, an empty line, and this signer's signature line.
    func note(_ text: String) -> String {
        let signature = verifier.keyID + key.signature(for: text.utf8.span)
        return "\(text)\n\(SignedNote.signatureMark)\(verifier.name) \(Base64.standard.encode(signature))\n"
    }
}

/// A name and public key whose signatures under notes are believed (C2SP signed-note).
public struct NoteVerifier: Sendable, CustomStringConvertible {
    /// The signature type of Ed25519 in key ids and verifier keys.
    private static let signatureType: UInt8 = 0x01

    /// The name of the key.
    public let name: String
    /// The four bytes that tell which key of that name it is: SHA-256(name || 0x0A || 0x01 || public key)[:4].
    public let keyID: [UInt8]

    private let key: Ed25519PublicKey

    /// A key to believe.
    public init(name: String, key: Ed25519PublicKey) throws(LedgerError) {
        let isName =
            !name.isEmpty
            && name.unicodeScalars.allSatisfy { $0.value > 0x20 && !$0.properties.isWhitespace && $0 != "+" }
        guard isName else { throw LedgerError(.invalidNote, "a key's name has no spaces and no +, and is not empty") }
        self.name = name
        self.key = key
        let described = Array(name.utf8) + [0x0A, Self.signatureType] + key.bytes
        keyID = Array(SHA256.hash(described.span).bytes.prefix(4))
    }

    /// Reads a verifier key, `name+id+base64(type || key)`, as Go's checksum database and the C2SP tools write it.
    public init(_ text: String) throws(LedgerError) {
        let parts = text.split(separator: "+", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, let encoded = Base64.standard.decode(String(parts[2])),
            encoded.first == Self.signatureType, let key = try? Ed25519PublicKey(bytes: Array(encoded.dropFirst()).span)
        else { throw LedgerError(.invalidNote, "not a verifier key: name+id+base64 of an Ed25519 key") }
        try self.init(name: String(parts[0]), key: key)
        guard Hexadecimal.encode(keyID) == parts[1] else {
            throw LedgerError(.invalidNote, "the id in the verifier key is not that of its name and key")
        }
    }

    /// The verifier key as text, for auditors and witnesses.
    public var description: String {
        "\(name)+\(Hexadecimal.encode(keyID))+\(Base64.standard.encode([Self.signatureType] + key.bytes))"
    }

    /// Whether the bytes behind the key id are this key's signature of the text.
    func isValid(_ signature: Span<UInt8>, for text: String) -> Bool { key.isValid(signature, for: text.utf8.span) }
}

/// A text with signatures (C2SP signed-note), not yet believed.
public struct SignedNote: Sendable, Equatable {
    /// What begins a signature line: an em dash and a space.
    static let signatureMark = "— "
    /// The most signature lines taken; the specification asks for 16.
    static let signatureBound = 64

    /// What is signed; ends in a newline.
    public let text: String
    /// The signature lines: name, key id, signature.
    let signatures: [(name: String, keyID: [UInt8], signature: [UInt8])]

    /// Takes a note apart.
    public init(parsing note: String) throws(LedgerError) {
        let malformed = LedgerError(.invalidNote, "not a signed note: text, an empty line, signature lines")
        guard note.unicodeScalars.allSatisfy({ $0.value >= 0x20 || $0 == "\n" }) else { throw malformed }
        let lines = note.split(separator: "\n", omittingEmptySubsequences: false)
        // The last newline leaves an empty element; the empty line before the signatures is the last other one.
        guard lines.last == "", let blank = lines.dropLast().lastIndex(of: ""), blank > 0,
            (1...Self.signatureBound).contains(lines.count - blank - 2)
        else { throw malformed }
        text = lines[..<blank].map { $0 + "\n" }.joined()
        var signatures: [(name: String, keyID: [UInt8], signature: [UInt8])] = []
        for line in lines[(blank + 1)...].dropLast() {
            guard line.hasPrefix(Self.signatureMark) else { throw malformed }
            let parts = line.dropFirst(Self.signatureMark.count).split(separator: " ", omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, let bytes = Base64.standard.decode(String(parts[1])),
                bytes.count > 4
            else { throw malformed }
            signatures.append((String(parts[0]), Array(bytes[..<4]), Array(bytes[4...])))
        }
        self.signatures = signatures
    }

    /// The text, if a key of `verifiers` signed it. Signatures of unknown keys are passed over; a wrong signature of a
    /// known key spoils the note.
    public func text(verifiedBy verifiers: [NoteVerifier]) throws(LedgerError) -> String {
        var isSigned = false
        for line in signatures {
            for verifier in verifiers where verifier.name == line.name && verifier.keyID == line.keyID {
                guard verifier.isValid(line.signature.span, for: text) else {
                    throw LedgerError(.invalidNote, "the signature of \(line.name) does not hold for the note")
                }
                isSigned = true
            }
        }
        guard isSigned else { throw LedgerError(.invalidNote, "the note is not signed by a known key") }
        return text
    }

    /// The same text with the same signatures in the same order.
    public static func == (left: SignedNote, right: SignedNote) -> Bool {
        left.text == right.text && left.signatures.elementsEqual(right.signatures, by: ==)
    }
}
