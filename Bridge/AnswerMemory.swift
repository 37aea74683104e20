internal import Catalogue

/// Answers about what is free that were written before, by hotel and question, each with what it was written from: while
/// that is the same, so is the answer.
struct AnswerMemory {
    /// Bytes of all answers together; when they are more, all are forgotten.
    private static let bound = 32 << 20

    /// What a question about a hotel is told apart by.
    struct Question: Hashable {
        let hotel: Int32
        /// As it came.
        let query: String
    }

    /// An answer, and what it was written from.
    struct Remembered {
        let document: Document
        /// The change of the hotel after which it was written.
        let changes: UInt64
        /// When what it says was read, in Unix seconds.
        let readAt: Double
    }

    private var answers: [Question: Remembered] = [:]
    private var size = 0

    /// What was answered when the hotel was as it is after so many changes.
    func answer(_ question: Question, changes: UInt64) -> Remembered? {
        guard let answer = answers[question], answer.changes == changes else { return nil }
        return answer
    }

    mutating func remember(_ answer: Remembered, to question: Question) {
        let old = answers.updateValue(answer, forKey: question)
        size += Self.size(answer, question) - (old.map { Self.size($0, question) } ?? 0)
        guard size > Self.bound else { return }
        answers.removeAll()
        size = 0
    }

    private static func size(_ answer: Remembered, _ question: Question) -> Int {
        answer.document.content.count + question.query.utf8.count + 256
    }
}
