internal import Ledger

/// What a verification has shown, in words for auditors.
enum VerificationText {
    static func success(_ report: LedgerReport) -> [String] {
        let count = report.size - report.first
        var lines = [
            "OK     \(counted(count, "record")), \(report.first) to \(report.size - 1): as written, none missing"
        ]
        if report.first > 0 {
            lines.append("       records before \(report.first) were removed by retention, which a record says")
        }
        if let checkpoint = report.lastCheckpoint {
            lines.append(
                "       \(counted(UInt64(report.checkpointCount), "checkpoint")) signed; the last one covers "
                    + "\(counted(checkpoint.size, "record")), root \(checkpoint.root.base64)")
        } else {
            lines.append("       no checkpoint is signed yet")
        }
        if report.unsignedCount > 0 {
            lines.append(
                "note   \(counted(report.unsignedCount, "record")) at the end not signed for yet: proven only by the "
                    + "next checkpoint")
        }
        if report.incompleteByteCount > 0 {
            lines.append(
                "note   \(report.incompleteByteCount) bytes of an incomplete last line: being written, or torn")
        }
        if report.uncomparedCount > 0 {
            lines.append(
                "note   \(counted(UInt64(report.uncomparedCount), "given checkpoint")) older than the first record left: "
                    + "cannot be compared")
        }
        return lines
    }

    static func failure(_ finding: LedgerFinding, _ report: LedgerReport) -> [String] {
        var lines = ["WRONG  \(sentence(finding))"]
        if let place = report.place {
            let line = place.line.map { " line \($0)" } ?? ""
            lines.append("       \(preposition(finding.kind)) \(place.file)\(line)")
        }
        if let detail = report.detail { lines.append("       \(detail)") }
        if let checkpoint = report.lastCheckpoint {
            lines.append("       the records before \(checkpoint.size) are as they were signed for")
        }
        lines.append("       what is behind the first bad record was not verified")
        return lines
    }

    private static func sentence(_ finding: LedgerFinding) -> String {
        let range = finding.range
        let isOne = range.count == 1
        let which = isOne ? "record \(range.lowerBound)" : "records \(range.lowerBound) to \(range.upperBound)"
        let oneOf = isOne ? which : "one of \(which)"
        switch finding.kind {
        case .altered: return "altered: \(oneOf) is not what was written"
        case .inserted: return "inserted: what stands at \(which) was put there afterwards"
        case .missing: return "missing: \(which) \(isOne ? "is" : "are") gone"
        case .outOfOrder: return "out of order: another record stands where \(which) belongs"
        case .truncated: return "truncated: \(which), the last, \(isOne ? "is" : "are") cut off"
        case .misplacedSegment:
            return "misplaced segment: the file that should begin with \(which) holds others, or another ledger's"
        case .forked:
            return
                "forked: \(oneOf) was rewritten, with all hashes behind it: the records fit together and are not those "
                + "that a checkpoint was signed for"
        case .rolledBack:
            return "rolled back: \(which) \(isOne ? "is" : "are") not here, and a checkpoint kept elsewhere covers "
                + (isOne ? "it" : "them")
        case .badCheckpoint: return "bad checkpoint: of the segment around \(which), a signature is wrong or missing"
        case .badHash: return "bad stored hash: of \(which), which itself is as it was signed for"
        }
    }

    private static func preposition(_ kind: LedgerFinding.Kind) -> String {
        switch kind {
        case .missing, .truncated, .rolledBack: "should be in"
        default: "in"
        }
    }

    static func counted(_ count: UInt64, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
}
