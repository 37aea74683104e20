// Feeds hostile bytes to the frames between workers and the ledger's process, and to the check of records. Build and
// run as HTTPFuzzer.swift says, with `fuzz-ledger`. The first byte of an input chooses what it is given to, the second
// where to cut the rest.

import Ledger

/// What one run over an input produced.
private struct Log: Equatable {
    var frames: [String] = []
    var error: FrameError?

    /// Feeds each piece and takes frames until more bytes are needed.
    mutating func feed(
        _ pieces: [ArraySlice<UInt8>], _ next: ([UInt8]) throws(FrameError) -> (String?, Int)
    ) {
        var buffer: [UInt8] = []
        do throws(FrameError) {
            for piece in pieces {
                buffer += piece
                while true {
                    let (frame, consumed) = try next(buffer)
                    guard let frame else { break }
                    precondition(consumed > 0 && consumed <= buffer.count)
                    frames.append(frame)
                    buffer.removeFirst(consumed)
                }
            }
        } catch {
            self.error = error
        }
    }
}

private func readRecords(_ pieces: [ArraySlice<UInt8>]) -> Log {
    var log = Log()
    var parser = RecordFrameParser()
    log.feed(pieces) { (buffer) throws(FrameError) in
        let (frame, consumed) = try parser.next(buffer.span)
        switch frame {
        case nil: return (nil, consumed)
        case .greeting(let version, let name):
            precondition(name.upperBound == consumed)
            return ("\(version) \(Array(buffer[name]))", consumed)
        case .record(let ticket, let durability, let object):
            precondition(object.upperBound == consumed)
            var written: [UInt8] = []
            RecordFrame.appendRecord(ticket: ticket, durability, to: &written) { $0 += buffer[object] }
            precondition(written == Array(buffer[..<consumed]), "a frame we write is another than the one we read")
            return ("\(ticket) \(durability) \(object.count)", consumed)
        }
    }
    return log
}

private func readReplies(_ pieces: [ArraySlice<UInt8>]) -> Log {
    var log = Log()
    log.feed(pieces) { (buffer) throws(FrameError) in
        let (reply, consumed) = try ReplyFrame.next(buffer.span)
        guard let reply else { return (nil, consumed) }
        var written: [UInt8] = []
        reply.append(to: &written)
        precondition(written == Array(buffer[..<consumed]), "a reply we write is another than the one we read")
        return ("\(reply)", consumed)
    }
    return log
}

/// What is taken for a record stays one line of the ledger.
private func submit(_ record: ArraySlice<UInt8>) {
    var commits = GroupCommit<Int>()
    do throws(LedgerError) { try commits.submit(record.span, durability: .written, ticket: 1) } catch { return }
    precondition(record.first == UInt8(ascii: "{") && record.last == UInt8(ascii: "}"))
    precondition(!record.contains { $0 < 0x20 }, "a record with a control character could end its line")
}

/// Traps where a promise of the module does not hold.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    guard input.count > 2 else { return 0 }
    let message = input[2...]
    let cut = message.startIndex + Int(input[1]) % (message.count + 1)
    let cuts = [[message], [message[..<cut], message[cut...]], message.indices.map { message[$0...$0] }]
    switch input[0] % 3 {
    case 0: for pieces in cuts { precondition(readRecords(pieces) == readRecords(cuts[0])) }
    case 1: for pieces in cuts { precondition(readReplies(pieces) == readReplies(cuts[0])) }
    default: submit(message)
    }
    return 0
}

@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
    _ argumentCount: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutableRawPointer,
    _ target: @convention(c) (UnsafePointer<UInt8>, Int) -> CInt
) -> CInt

/// SwiftPM links every executable with `main` renamed after its target, which hides libFuzzer's own.
@_cdecl("fuzz_ledger_main")
public func main(_ argumentCount: CInt, _ arguments: UnsafeMutableRawPointer) -> CInt {
    var argumentCount = argumentCount
    var arguments = arguments
    return runFuzzer(&argumentCount, &arguments) { fuzz($0, $1) }
}
