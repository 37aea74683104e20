import Testing

@testable import HTTP

@Suite("Fields and their names")
struct FieldsTests {
    @Test("Every name is recognised, whatever its letter case", arguments: FieldName.allCases)
    func recognised(_ name: FieldName) {
        for text in [name.text, name.text.lowercased(), name.text.uppercased()] where !text.isEmpty {
            let bytes = Array(text.utf8)
            #expect(FieldName(bytes.span, 0..<bytes.count) == name)
        }
    }

    @Test("A name that differs in one bit is another name", arguments: FieldName.allCases)
    func notRecognised(_ name: FieldName) {
        let bytes = Array(name.text.utf8)
        for index in bytes.indices {
            for bit in 0..<8 where bit != 5 || bytes[index] == UInt8(ascii: "-") {
                var changed = bytes
                changed[index] ^= 1 << UInt8(bit)
                #expect(FieldName(changed.span, 0..<changed.count) != name)
            }
        }
    }

    @Test("Names that vouch for someone are recognised as a family")
    func families() {
        func name(_ text: String) -> FieldName? { FieldName(Array(text.utf8).span, 0..<text.utf8.count) }
        #expect(name("X-Forwarded-For") == .xForwarded)
        #expect(name("x-forwarded-client-cert") == .xForwarded)
        #expect(name("X-Forwarded-") == .other)
        #expect(name("X-Forwarder-For") == .other)
        #expect(name("DRAWBRIDGE-x") == .drawbridge)
        #expect(name("Drawbridge-Identity") == .drawbridgeIdentity)
        #expect(name("drawbridge") == .other)
        #expect(name("") == nil)
        #expect(name("a b") == nil)
    }

    @Test("Fields are found by name, counted, and kept in order")
    func lookup() {
        var fields = Fields()
        fields.append(.accept, "a")
        fields.append("X-Custom", "1")
        fields.append("accept", "b")
        #expect(fields[.accept] == "a")
        #expect(fields["ACCEPT"] == "a")
        #expect(fields["x-custom"] == "1")
        #expect(fields["x-custo"] == nil)
        #expect(fields.count(of: .accept) == 2)
        #expect(fields.count(of: "X-CUSTOM") == 1)
        #expect(fields.bytes(of: .accept).map(Array.init) == [UInt8(ascii: "a")])
        #expect(fields.map(\.value) == ["a", "1", "b"])
        #expect(fields.map(\.nameText) == ["Accept", "X-Custom", "accept"])
        fields.remove(.accept)
        #expect(fields.map(\.nameText) == ["X-Custom"])
        #expect(!fields.contains(.accept))
    }

    @Test("A value cannot end its line")
    func injection() {
        var fields = Fields()
        fields.append(.location, " /a\r\nSet-Cookie: b\u{0}\t")
        #expect(fields[.location] == "/a  Set-Cookie: b")
    }

    @Test("Added fields leave the head they came from as it was")
    func copyOnWrite() throws {
        var parser = RequestParser()
        _ = try parser.next(Array("GET /a HTTP/1.1\r\nHost: b\r\n\r\n".utf8).span)
        var head = parser.takeHead()
        head.fields.append(.xRequestID, "1")
        #expect(head.target.path == "/a")
        #expect(head.target.authority == "b")
        #expect(head.fields.map(\.value) == ["b", "1"])
    }

    @Test("A name must be a token")
    func names() {
        #expect(Fields.isValidName("X-a_b.c~1"))
        #expect(!Fields.isValidName(""))
        #expect(!Fields.isValidName("a:"))
        #expect(!Fields.isValidName("a b"))
        #expect(!Fields.isValidName("ä"))
        #expect(!Fields.isValidName(String(repeating: "a", count: 256)))
    }

    @Test("The character sets are what RFC 9110 and RFC 3986 say")
    func byteSets() {
        let alphanumerics = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
        #expect(ByteSet.token == ByteSet("!#$%&'*+-.^_`|~" + alphanumerics))
        #expect(ByteSet.path == ByteSet("-._~!$&'()*+,;=:@/" + alphanumerics))
        #expect(ByteSet.query == ByteSet("-._~!$&'()*+,;=:@/?" + alphanumerics))
        #expect(ByteSet.host == ByteSet("-._~" + alphanumerics))
        #expect((128...255).allSatisfy { !ByteSet.token.contains($0) })
    }

    @Test("Scanning finds the first control character and the first match, wherever they stand")
    func scanning() {
        for length in 0..<40 {
            for position in 0..<max(length, 1) where length > 0 {
                for filler: UInt8 in [0x20, 0x09, 0x61, 0x80, 0xFF, 0x7E, 0x21] {
                    for control: UInt8 in [0x00, 0x01, 0x0A, 0x0D, 0x1F, 0x7F] {
                        var bytes = [UInt8](repeating: filler, count: length)
                        #expect(bytes.span.firstControl(from: 0) == nil)
                        bytes[position] = control
                        #expect(bytes.span.firstControl(from: 0) == position)
                        #expect(bytes.span.first(control, in: 0..<length) == position)
                        #expect(bytes.span.first(control, in: 0..<position) == nil)
                    }
                }
            }
        }
    }
}
