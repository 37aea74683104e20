public import Stay

/// How many rooms of a type are left on one night, as a PMS says that tells counts and not rooms.
public struct Allotment: Hashable, Sendable {
    /// The room type's id in the PMS.
    public let type: Int32
    /// The night.
    public let night: Day
    /// Rooms that may still be sold; less than none when the hotel is overbooked.
    public let left: Int32

    /// An allotment.
    public init(type: Int32, night: Day, left: Int32) {
        self.type = type
        self.night = night
        self.left = left
    }
}
