import Cryptography
import Testing

@testable import Ledger

@Suite("Signed notes and checkpoints")
struct NoteTests {
    /// The example of golang.org/x/mod/sumdb/note (documentation and note_test.go).
    private let verifierKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    private let encodedSeed = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
    private let text =
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    private let line =
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"

    @Test("The published note verifies, and a changed one does not")
    func published() throws {
        let verifier = try NoteVerifier(verifierKey)
        #expect(verifier.description == verifierKey)
        #expect(try SignedNote(parsing: text + "\n" + line).text(verifiedBy: [verifier]) == text)
        let changed = try SignedNote(parsing: text.replacing("think", with: "thunk") + "\n" + line)
        #expect(throws: LedgerError.self) { try changed.text(verifiedBy: [verifier]) }
    }

    @Test("Signing gives the published note, byte for byte")
    func signs() throws {
        let seed = Array(try #require(Base64.standard.decode(encodedSeed)).dropFirst())
        let signer = try NoteSigner(name: "PeterNeumann", key: Ed25519PrivateKey(seed: seed.span))
        #expect(signer.note(text) == text + "\n" + line)
    }

    @Test("Signatures of unknown keys are passed over, and alone do not do")
    func unknownKeys() throws {
        let signer = try NoteSigner(name: "hotel.example/ledger", key: Ed25519PrivateKey())
        let other = try NoteSigner(name: "hotel.example/ledger", key: Ed25519PrivateKey())
        let both = signer.note(text) + other.note(text).split(separator: "\n").last! + "\n"
        #expect(try SignedNote(parsing: both).text(verifiedBy: [signer.verifier]) == text)
        #expect(throws: LedgerError.self) {
            try SignedNote(parsing: other.note(text)).text(verifiedBy: [signer.verifier])
        }
    }

    @Test(
        "What is no verifier key is refused",
        arguments: [
            "", "PeterNeumann", "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "PeterNeumann+c74f20a3+!",
            "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ])
    func badVerifierKeys(text: String) { #expect(throws: LedgerError.self) { try NoteVerifier(text) } }

    @Test(
        "What is no note is refused",
        arguments: [
            "", "text\n", "text\n\n", "text\n\n— a\n", "text\n\n- a AAAAAAA=\n", "\n— a AAAAAAA=\n",
            "t\u{1}\n\n— a AAAAAAA=\n",
        ])
    func badNotes(text: String) { #expect(throws: LedgerError.self) { try SignedNote(parsing: text) } }

    @Test("The published checkpoint is read, and written the same")
    func checkpoint() throws {
        // The example of c2sp.org/tlog-checkpoint.
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
        let checkpoint = try Checkpoint(parsing: text)
        #expect(checkpoint.size == 20_852_163)
        #expect(checkpoint.text == text)
        for bad in [
            text.replacing("20852163", with: "020852163"), text.replacing("I=", with: "J="), "a\n1\n",
            text.replacing("20852163", with: "+20852163"), "\n" + text,
        ] { #expect(throws: LedgerError.self) { try Checkpoint(parsing: bad) } }
    }
}
