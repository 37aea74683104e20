/// The name of a rate plan in the PMS: a global plan (`3h`), a hotel's own plan (`h169`), or a hotel's plan made from a
/// global one (`1h5`).
public struct PlanKey: Hashable, Sendable {
    /// The id of the global plan, if any.
    public let globalPlan: Int32?
    /// The id of the hotel's plan, if any.
    public let hotelPlan: Int32?

    /// A key with at least one of the two ids; ids are positive.
    public init?(globalPlan: Int32?, hotelPlan: Int32?) {
        guard globalPlan != nil || hotelPlan != nil, globalPlan ?? 1 > 0, hotelPlan ?? 1 > 0 else { return nil }
        self.globalPlan = globalPlan
        self.hotelPlan = hotelPlan
    }
}

extension PlanKey: LosslessStringConvertible {
    /// Reads `{global}h{hotel plan}`; each id may be absent, not both; no blanks, signs or leading zeros.
    public init?(_ text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: "h"), omittingEmptySubsequences: false)
        guard parts.count == 2, let global = PlanKey.id(parts[0]), let hotel = PlanKey.id(parts[1]) else { return nil }
        self.init(globalPlan: global, hotelPlan: hotel)
    }

    /// The key as the PMS writes it.
    public var description: String {
        (globalPlan.map(String.init) ?? "") + "h" + (hotelPlan.map(String.init) ?? "")
    }

    /// The id, nil in it for an absent one; nil for a malformed one.
    private static func id(_ digits: Substring.UTF8View) -> Int32?? {
        if digits.isEmpty { return .some(nil) }
        guard digits.first != UInt8(ascii: "0"), digits.first != UInt8(ascii: "+"), digits.first != UInt8(ascii: "-"),
            let id = Int32(Substring(digits))
        else { return nil }
        return id
    }
}
