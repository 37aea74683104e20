import Testing

@testable import Ledger

@Suite("Frames between workers and the ledger's process")
struct FrameTests {
    private static let object = Array("{\"a\":1}".utf8)

    private static var conversation: [UInt8] {
        var bytes: [UInt8] = []
        RecordFrame.appendGreeting(name: "gateway-7", to: &bytes)
        RecordFrame.appendRecord(ticket: 1, .written, to: &bytes) { $0 += object }
        RecordFrame.appendRecord(ticket: 2, .synced, to: &bytes) { $0 += object }
        RecordFrame.appendRecord(ticket: .max, .synced, to: &bytes) { $0 += Array("{}".utf8) }
        return bytes
    }

    /// What a parser finds in bytes that arrive in pieces, in words.
    private static func frames(_ pieces: [ArraySlice<UInt8>]) throws(FrameError) -> [String] {
        var parser = RecordFrameParser()
        var buffer: [UInt8] = []
        var found: [String] = []
        for piece in pieces {
            buffer += piece
            while true {
                let (frame, consumed) = try parser.next(buffer.span)
                guard let frame else { break }
                switch frame {
                case .greeting(let version, let name):
                    found.append("\(version) \(String(decoding: buffer[name], as: UTF8.self))")
                case .record(let ticket, let durability, let object):
                    found.append("\(ticket) \(durability) \(String(decoding: buffer[object], as: UTF8.self))")
                }
                buffer.removeFirst(consumed)
            }
        }
        return found
    }

    @Test("What a worker says is understood, wherever it is cut")
    func everySplit() throws {
        let bytes = Self.conversation
        let expected = [
            "1 gateway-7", "1 written {\"a\":1}", "2 synced {\"a\":1}", "18446744073709551615 synced {}",
        ]
        #expect(try Self.frames([bytes[...]]) == expected)
        #expect(try Self.frames(bytes.indices.map { bytes[$0...$0] }) == expected)
        for cut in bytes.indices { #expect(try Self.frames([bytes[..<cut], bytes[cut...]]) == expected, "\(cut)") }
    }

    @Test(
        "What no worker of ours says is refused",
        arguments: [
            ([0, 0, 0, 0], FrameError.tooShort),
            ([0, 0, 0, 1, 0], .tooShort),
            ([0, 0, 0, 1, 3], .unknownKind),
            ([0, 0, 0, 2, 0, 2], .unknownVersion),
            ([0, 0, 0, 9, 1, 0, 0, 0, 0, 0, 0, 0, 1], .outOfTurn),
            ([0xFF, 0, 0, 0], .tooLong),
            ([0, 1, 0, 10], .tooLong),
            ([0, 0, 0, 67, 0, 1] + [UInt8](repeating: 97, count: 65), .tooLong),
            ([0, 0, 0, 2, 0, 1, 0, 0, 0, 2, 0, 1], .outOfTurn),
            ([0, 0, 0, 2, 0, 1, 0, 0, 0, 8, 1, 0, 0, 0, 0, 0, 0, 1], .tooShort),
        ])
    func refused(bytes: [UInt8], error: FrameError) {
        #expect(throws: error) { try Self.frames([bytes[...]]) }
    }

    @Test("A ticket that is not greater than the one before is refused", arguments: [5, 4] as [UInt64])
    func staleTicket(second: UInt64) {
        var bytes: [UInt8] = []
        RecordFrame.appendGreeting(name: "", to: &bytes)
        RecordFrame.appendRecord(ticket: 5, .written, to: &bytes) { $0 += Self.object }
        RecordFrame.appendRecord(ticket: second, .written, to: &bytes) { $0 += Self.object }
        #expect(throws: FrameError.staleTicket) { try Self.frames([bytes[...]]) }
    }

    @Test("The greatest record fits, one byte more does not")
    func greatest() throws {
        for (excess, isRefused) in [(0, false), (1, true)] {
            var bytes: [UInt8] = []
            RecordFrame.appendGreeting(name: "", to: &bytes)
            RecordFrame.appendRecord(ticket: 1, .written, to: &bytes) {
                $0 += [UInt8](repeating: 120, count: RecordBatch.recordBound + excess)
            }
            if isRefused {
                #expect(throws: FrameError.tooLong) { try Self.frames([bytes[...]]) }
            } else {
                #expect(try Self.frames([bytes[...]]).count == 2)
            }
        }
    }

    @Test("What the ledger answers is understood, wherever it is cut")
    func replies() throws {
        let replies: [ReplyFrame] =
            [
                .acknowledged(.written, through: 0), .acknowledged(.synced, through: .max),
                .acknowledged(.written, through: 0x0102_0304_0506_0708),
            ] + RefusalReason.allCases.map { .refused(3...UInt64.max, $0) }
        var bytes: [UInt8] = []
        for reply in replies { reply.append(to: &bytes) }
        for size in 1...bytes.count {
            var buffer: [UInt8] = []
            var found: [ReplyFrame] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                buffer += bytes[start..<min(start + size, bytes.count)]
                while case (let reply?, let consumed) = try ReplyFrame.next(buffer.span) {
                    found.append(reply)
                    buffer.removeFirst(consumed)
                }
            }
            #expect(found == replies)
            #expect(buffer.isEmpty)
        }
    }

    @Test(
        "An answer that is none is refused",
        arguments: [
            ([0, 0, 0, 0], FrameError.tooShort),
            ([0, 0, 0, 1, 9], .unknownKind),
            ([0, 0, 0, 2, 1, 0], .tooShort),
            ([0, 0, 0, 19], .tooLong),
            ([0, 0, 0, 10, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0], .tooLong),
            ([0, 0, 0, 18, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 1], .emptyRange),
            ([0, 0, 0, 18, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 9], .unknownKind),
        ])
    func badReplies(bytes: [UInt8], error: FrameError) {
        #expect(throws: error) { try ReplyFrame.next(bytes.span) }
    }
}
