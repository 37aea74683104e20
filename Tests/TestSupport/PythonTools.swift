import Foundation

/// The environment that `Scripts/python-tools` makes, with other implementations that ours are compared with.
package enum PythonTools {
    /// The folder of the package.
    package static let package = #filePath.components(separatedBy: "/Tests/")[0]

    private static let python = "\(package)/.build/python-tools/bin/python3"

    package static let areThere = FileManager.default.isExecutableFile(atPath: python)

    /// Runs a script of Python with JSON as its input, and reads its output as JSON.
    package static func run<Input: Encodable, Output: Decodable>(
        _ script: String, arguments: [String] = [], _ input: Input
    ) throws -> Output {
        try Script.run([python, script] + arguments, input)
    }
}

/// A program that takes JSON and answers with JSON.
package enum Script {
    package struct Failed: Error {}

    /// Runs a program to its end.
    ///
    /// - Parameter command: the program's path and its arguments.
    package static func run<Input: Encodable, Output: Decodable>(_ command: [String], _ input: Input) throws -> Output {
        let process = Process()
        process.executableURL = URL(filePath: command[0])
        process.arguments = Array(command.dropFirst())
        let (stdin, stdout) = (Pipe(), Pipe())
        process.standardInput = stdin
        process.standardOutput = stdout
        try process.run()
        try stdin.fileHandleForWriting.write(contentsOf: JSONEncoder().encode(input))
        try stdin.fileHandleForWriting.close()
        let output = try stdout.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failed() }
        return try JSONDecoder().decode(Output.self, from: output)
    }
}
