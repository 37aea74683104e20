// Appends to the ledger in the directory given until it is killed, and says on standard output what it was promised:
// "w N" when N records are written, "s N" when they are synced.
import Cryptography
import Glibc
import Ledger

let seed = [UInt8](repeating: 7, count: Ed25519PrivateKey.seedByteCount)
let signer = try NoteSigner(name: "test.example/killed", key: Ed25519PrivateKey(seed: seed.span))
var configuration = LedgerConfiguration()
configuration.segmentByteBound = 30_000
configuration.checkpointRecords = 70
configuration.retainedByteBound = 300_000
var writer = try LedgerWriter.open(directory: CommandLine.arguments[1], configuration: configuration, signer: signer)

func say(_ level: String, _ size: UInt64) {
    let line = Array("\(level) \(size)\n".utf8)
    _ = write(STDOUT_FILENO, line, line.count)
}

while true {
    var batch = RecordBatch()
    for _ in 0..<Int.random(in: 1...40) {
        let filling = String(repeating: "x", count: Int.random(in: 0...300))
        try batch.add("{\"filling\":\"\(filling)\"}".utf8.span)
    }
    if writer.due != nil { try writer.tick() }
    _ = try writer.append(batch)
    say("w", writer.size)
    if Int.random(in: 0..<3) == 0 {
        try writer.sync()
        say("s", writer.syncedSize)
    }
    if Int.random(in: 0..<20) == 0 { try writer.tick() }
}
