public import Booking
internal import JSONText

/// A picture of a hotel or of one of its room types; the PMS has none, so the bridge keeps them.
public struct HotelImage: Hashable, Sendable, Codable {
    public let url: String
    public let caption: String?
    /// Nil for the hotel as a whole.
    public let roomType: Int32?
    /// In pixels.
    public let width: Int32?
    /// In pixels.
    public let height: Int32?

    public init(url: String, caption: String?, roomType: Int32?, width: Int32?, height: Int32?) {
        self.url = url
        self.caption = caption
        self.roomType = roomType
        self.width = width
        self.height = height
    }

    /// Bounds on what may be kept.
    public enum Limit {
        /// Pictures of one hotel.
        public static let images = 0...64
        /// Characters of an address.
        public static let url = 9...2048
        /// Unicode scalars of a caption.
        public static let caption = 0...300
        /// Pixels of a side.
        public static let side: ClosedRange<Int64> = 1...65_535
    }

    /// Whether a text is an address that a browser can get by HTTPS and nothing else: a host, no user, no blanks, ASCII
    /// throughout (RFC 3986).
    public static func isAddress(_ text: String) -> Bool {
        guard Limit.url.contains(text.utf8.count), text.hasPrefix("https://"),
            text.utf8.allSatisfy({ 0x21...0x7E ~= $0 && !"\"<>\\^`{|}".utf8.contains($0) })
        else { return false }
        let authority = text.dropFirst("https://".count).prefix { !"/?#".contains($0) }
        let parts = authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let port = parts.count == 2 ? parts[1] : "443"
        guard let number = UInt16(port), number > 0, port.allSatisfy(\.isNumber) else { return false }
        let labels = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        return parts[0].utf8.count <= 253
            && labels.allSatisfy { label in
                (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                    && label.utf8.allSatisfy { byte in
                        switch byte {
                        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                            true
                        default: false
                        }
                    }
            }
    }

    /// Reads what a request says a hotel's pictures are to be.
    ///
    /// - Parameter types: the hotel's room types.
    /// - Throws: `InvalidRequest` with everything that is wrong.
    public static func images(in content: [UInt8], types: Set<Int32>) throws(InvalidRequest) -> [HotelImage] {
        var fields = FieldReader(try JSONValue(body: content), at: "")
        let images = images(&fields, types)
        let errors = fields.finished()
        guard errors.isEmpty else { throw InvalidRequest(isMalformed: false, errors: errors) }
        return images
    }

    private static func images(_ fields: inout FieldReader, _ types: Set<Int32>) -> [HotelImage] {
        guard let value = fields.value("images", isRequired: true) else { return [] }
        guard case .array(let elements) = value, Limit.images.contains(elements.count) else {
            fields.fail("images", "An array of at most \(Limit.images.upperBound) images is expected")
            return []
        }
        return elements.enumerated().map { position, element in
            var image = FieldReader(element, at: "/images/\(position)")
            let read = HotelImage(reading: &image, types)
            fields.absorb(image)
            return read
        }
    }

    private init(reading fields: inout FieldReader, _ types: Set<Int32>) {
        let url = fields.value("url", isRequired: true)
        self.url = url?.string ?? ""
        if url != nil, !Self.isAddress(self.url) {
            fields.fail("url", "An https address of at most \(Limit.url.upperBound) characters is expected")
        }
        caption = fields.text("caption", length: Limit.caption, isRequired: false)
        roomType = fields.integer("room_type_id", in: 1...Int64(Int32.max), isRequired: false, allowsString: true)
            .map { Int32($0) }
        if let roomType, !types.contains(roomType) { fields.fail("room_type_id", "The hotel has no such room type") }
        width = fields.integer("width", in: Limit.side, isRequired: false).map { Int32($0) }
        height = fields.integer("height", in: Limit.side, isRequired: false).map { Int32($0) }
    }
}
