import Cryptography
import Glibc
import Ledger
import Testing

@testable import AuditTrail

@Suite("drawbridge audit prove, consistency, verify-proof")
struct ProofTests {
    let fixture: AuditFixture

    init() throws {
        fixture = try AuditFixture()
        try fixture.fill()
    }

    private func keep(_ text: String) -> String {
        let path = "\(fixture.home)/proof"
        fixture.write(text, to: path)
        return path
    }

    @Test("A proof holds for every record it is made for, and needs no ledger", arguments: [0, 1, 60, 122])
    func inclusion(sequence: Int) throws {
        let made = try fixture.run("prove", String(sequence))
        #expect(made.status == 0)
        let key = "\(fixture.home)/key"
        fixture.write("\(try fixture.signer.verifier)\n", to: key)
        for name in AuditFixture.names(in: fixture.records) { unlink("\(fixture.records)/\(name)") }
        let said = try fixture.run("verify-proof", keep(made.output), "--key", key)
        #expect(said.status == 0)
        #expect(
            said.output.hasPrefix("OK     record \(sequence) stands, as it is here, in the ledger hotel.example/ledger")
        )
    }

    @Test(
        "A proof in which anything was changed does not hold",
        arguments: [
            ("getAvailability", "createBooking", "the record is not the one that the proof is for"),
            (#""leaf_index": 19"#, #""leaf_index": 20"#, "the record is not number 20"),
            (#""tree_size": 123"#, #""tree_size": 122"#, "its checkpoint for one of 123"),
            (
                #"example/ledger\n123\n"#, #"example/ledger\n124\n"#,
                "the signature of hotel.example/ledger does not hold"
            ),
        ])
    func tampered(text: String, other: String, complaint: String) throws {
        let made = try fixture.run("prove", "19").output
        #expect(made.contains(text))
        let said = try fixture.run("verify-proof", keep(made.replacing(text, with: other)))
        #expect(said.status == 1)
        #expect(said.remarks.contains(complaint))
    }

    @Test("A path that was changed does not lead to the root")
    func tamperedPath() throws {
        let made = try fixture.run("prove", "19").output
        let hash = try #require(made.split(separator: "\"audit_path\": [\n    \"").last?.prefix(43))
        let other = String(hash.reversed())
        let said = try fixture.run("verify-proof", keep(made.replacing(hash, with: other)))
        #expect(said.status != 0)
    }

    @Test(
        "What is no proof is said to be none",
        arguments: ["", "{}", "[1]", #"{"type":"drawbridge/inclusion-proof/1"}"#])
    func noProof(text: String) throws {
        let said = try fixture.run("verify-proof", keep(text))
        #expect(said.status == 65)
        #expect(said.remarks.contains("not a"))
    }

    @Test("A record that no checkpoint covers, or that there is not, is not proven")
    func unproven() throws {
        var writer = try fixture.writer()
        _ = try writer.keep(AuditFixture.request(60, time: fixture.clock.milliseconds))
        let unsigned = try fixture.run("prove", "123")
        #expect(unsigned.status == 1)
        #expect(unsigned.remarks.contains("record 123 is not signed for yet: the newest checkpoint covers 123 records"))
        try writer.close()
        #expect(try fixture.run("prove", "123").status == 0)
        #expect(try fixture.run("prove", "9999").remarks == "drawbridge: there is no record 9999\n")
    }

    @Test("A changed record is not proven")
    func changedRecord() throws {
        var lines = try fixture.lines(fixture.segments[0])
        lines[19] = lines[19].replacing("refused", with: "allowed")
        fixture.setLines(lines, fixture.segments[0])
        let said = try fixture.run("prove", "19")
        #expect(said.status == 1)
        #expect(said.output.isEmpty)
        #expect(said.remarks.contains("drawbridge audit verify says more"))
    }

    @Test("A ledger that has grown continues its older checkpoint, and the proof of it holds")
    func consistency() throws {
        let old = try fixture.keepCheckpoint()
        var writer = try fixture.writer()
        _ = try writer.keep(AuditFixture.request(60, time: fixture.clock.milliseconds))
        try writer.close()
        let made = try fixture.run("consistency", old)
        #expect(made.status == 0)
        #expect(
            made.remarks
                == "OK     the 125 records of hotel.example/ledger begin with the 123 of the older checkpoint, "
                + "unchanged\n")
        #expect(try fixture.run("verify-proof", keep(made.output)).status == 0)
        let new = try fixture.keepCheckpoint("newer")
        #expect(try fixture.run("consistency", old, new).output == made.output)
        let reversed = try fixture.run("consistency", new, old)
        #expect(reversed.status == 1)
        #expect(reversed.remarks.contains("NOT consistent"))
        #expect(
            try fixture.run("verify-proof", keep(made.output.replacing("\"first\": 123", with: "\"first\": 122")))
                .status == 1)
    }

    @Test("A ledger written anew does not continue the older checkpoint, and that is said")
    func forked() throws {
        let old = try fixture.keepCheckpoint()
        for name in AuditFixture.names(in: fixture.records) { unlink("\(fixture.records)/\(name)") }
        try fixture.fill(requests: 70)
        let said = try fixture.run("consistency", old)
        #expect(said.status == 1)
        #expect(said.output.isEmpty)
        #expect(
            said.remarks.contains("NOT consistent: the first 123 records of the ledger are not those that the older"))
    }

    @Test("A checkpoint of another ledger, or unsigned, is refused", arguments: ["hotel.example/other", ""])
    func otherCheckpoint(origin: String) throws {
        let path = try fixture.keepCheckpoint()
        let text = String(decoding: try LedgerLocation.read(path), as: UTF8.self)
        fixture.write(
            origin.isEmpty ? String(text.prefix(40)) : text.replacing("hotel.example/ledger\n", with: "\(origin)\n"),
            to: path)
        let said = try fixture.run("consistency", path)
        #expect(said.status == 65)
    }
}
