internal import Cryptography

/// What runs in Redis: one call decides on all limits of a request, and charges all or none.
enum RedisScript {
    /// An instant is kept as seconds and nanoseconds; all sums are of differences from the server's time, which are
    /// whole numbers below 2^53 and so exact in Lua's doubles. A key lives exactly as long as it says something.
    static let text = """
        local time = redis.call('TIME')
        local seconds, nanoseconds = tonumber(time[1]), tonumber(time[2]) * 1000
        local answer = {1}
        for i, key in ipairs(KEYS) do
          local interval, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
          local backlog = 0
          local stored = redis.call('GET', key)
          if stored then
            local s, n = string.match(stored, '^(%d+) (%d+)$')
            if s then
              backlog = (tonumber(s) - seconds) * 1000000000 + (tonumber(n) - nanoseconds)
              backlog = math.max(0, math.min(backlog, window))
            end
          end
          answer[i + 1] = backlog
          if backlog + interval > window then answer[1] = 0 end
        end
        if answer[1] == 1 then
          for i, key in ipairs(KEYS) do
            local backlog = answer[i + 1] + tonumber(ARGV[2 * i - 1])
            local instant = nanoseconds + backlog
            local s, n = seconds + math.floor(instant / 1000000000), instant % 1000000000
            redis.call('SET', key, string.format('%.0f %.0f', s, n), 'PX', math.floor(backlog / 1000000) + 1)
          end
        end
        return answer
        """

    /// Removes a key while its value says whose it is.
    static let giveBack = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"

    /// The arguments of the call, after its name and the script.
    static func arguments(_ charges: [Charge], prefix: String, secret: [UInt8]) -> [String] {
        let keys = names(of: charges.map(\.key), prefix: prefix, secret: secret)
        let quotas = charges.flatMap { [String($0.limitClass.quota.interval), String($0.limitClass.quota.window)] }
        return [String(charges.count)] + keys + quotas
    }

    /// What keys are called in Redis. They are hashed: it gets no addresses or names, and none that is long.
    static func names(of keys: [[UInt8]], prefix: String, secret: [UInt8]) -> [String] {
        var hash = HMACSHA256(key: secret.span)
        return keys.map { prefix + Hexadecimal.encode(hash.authenticationCode(for: $0.span).bytes.prefix(16)) }
    }
}
