/// First in, first out; keeps its storage.
struct FIFO<Element>: Sequence {
    private var elements: [Element?] = []
    private var start = 0

    var isEmpty: Bool { start == elements.count }
    var count: Int { elements.count - start }
    var first: Element? { isEmpty ? nil : elements[start] }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func popFirst() -> Element? {
        guard !isEmpty else { return nil }
        let first = elements[start]
        elements[start] = nil
        start += 1
        if start == elements.count {
            elements.removeAll(keepingCapacity: true)
            start = 0
        } else if start == 1024 {
            elements.removeFirst(start)
            start = 0
        }
        return first
    }

    mutating func removeAll(where isUnwanted: (Element) -> Bool) {
        elements = elements[start...].filter { !isUnwanted($0!) }
        start = 0
    }

    func makeIterator() -> some IteratorProtocol<Element> { elements[start...].lazy.map { $0! }.makeIterator() }
}
