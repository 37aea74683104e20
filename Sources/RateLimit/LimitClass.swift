public import Loop

/// What a limit is counted by. Several together count each combination apart; none counts everything as one.
public struct Partition: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8

    /// The set with these bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Who was authenticated.
    public static let principal = Partition(rawValue: 1)
    /// Where the request came from: an IPv4 address, or the /64 of an IPv6 address.
    public static let address = Partition(rawValue: 2)
    /// The hotel the request is about.
    public static let hotel = Partition(rawValue: 4)
    /// The operation of the API.
    public static let route = Partition(rawValue: 8)
}

/// A class of limits of the policy: a quota for each value of what it is counted by. One object for all requests, because what
/// is said of each of them refers to it.
public final class LimitClass: Sendable {
    /// The name that clients see in the `RateLimit` fields.
    public let name: String
    /// What each value may use.
    public let quota: Quota
    /// What it is counted by.
    public let partition: Partition
    /// What `RateLimit-Policy` says of it.
    let policyItem: [UInt8]
    /// What its `RateLimit` begins with.
    let limitItem: [UInt8]

    /// - Returns: nil unless the name is 1 to 64 letters, digits, `-`, `_` or `.`, which need no escaping anywhere.
    public init?(name: String, quota: Quota, partition: Partition) {
        let isPlain = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        guard isPlain, (1...64).contains(name.utf8.count) else { return nil }
        self.name = name
        self.quota = quota
        self.partition = partition
        policyItem = Array("\"\(name)\";q=\(quota.burst);w=\(Verdict.seconds(quota.window))".utf8)
        limitItem = Array("\"\(name)\";r=".utf8)
    }

    /// The charge for a request, or nil where the request lacks something that the class is counted by.
    public func charge(for subject: Subject) -> Charge? {
        var key = Array(name.utf8)
        key.reserveCapacity(96)
        key.append(0)
        if partition.contains(.principal) {
            guard let principal = subject.principal else { return nil }
            Charge.append(principal, tag: 1, to: &key)
        }
        if partition.contains(.address) {
            guard let address = subject.address else { return nil }
            address.append(to: &key)
        }
        if partition.contains(.hotel) {
            guard let hotel = subject.hotel else { return nil }
            Charge.append(hotel, tag: 4, to: &key)
        }
        if partition.contains(.route) {
            guard let route = subject.route else { return nil }
            Charge.append(route, tag: 8, to: &key)
        }
        return Charge(limitClass: self, key: key)
    }
}

extension LimitClass: Equatable {
    public static func == (left: LimitClass, right: LimitClass) -> Bool {
        left === right || (left.name == right.name && left.quota == right.quota && left.partition == right.partition)
    }
}

extension AddressBlock {
    fileprivate func append(to key: inout [UInt8]) {
        key.append(isIPv6 ? 3 : 2)
        withUnsafeBytes(of: network.littleEndian) { key.append(contentsOf: $0) }
    }
}

/// What is known of a request when limits are asked.
public struct Subject: Sendable {
    /// The authenticated principal, unique over all issuers.
    public var principal: String?
    /// The client's address.
    public var address: AddressBlock?
    /// The hotel's number.
    public var hotel: String?
    /// The operation's id.
    public var route: String?

    /// A request of which so much is known.
    public init(
        principal: String? = nil, address: AddressBlock? = nil, hotel: String? = nil, route: String? = nil
    ) {
        self.principal = principal
        self.address = address
        self.hotel = hotel
        self.route = route
    }
}

/// One request under one limit.
public struct Charge: Sendable {
    /// The limit.
    public let limitClass: LimitClass
    /// Class and subject, such that different ones differ.
    let key: [UInt8]

    /// The length comes first, so that no value can run over into the next.
    static func append(_ text: String, tag: UInt8, to key: inout [UInt8]) {
        key.append(tag)
        withUnsafeBytes(of: UInt32(clamping: text.utf8.count).littleEndian) { key.append(contentsOf: $0) }
        key.append(contentsOf: text.utf8)
    }
}
