public import Loop

/// What the clients of one address may hold on to together: counted wherever the bounds are to hold, in one server or
/// in many.
@OnLoop
public protocol AddressBounds: AnyObject {
    /// Counts one more connection of an address until it is released, unless it has as many as it may.
    func holdConnection(_ address: AddressBlock) -> Bool

    /// One of its connections has ended.
    func releaseConnection(_ address: AddressBlock)

    /// Counts bytes of a request's head that is not complete until they are released, unless there are then too many.
    func holdHead(_ byteCount: Int, _ address: AddressBlock) -> Bool

    /// So many bytes wait no longer for the rest of their head.
    func releaseHead(_ byteCount: Int, _ address: AddressBlock)
}
