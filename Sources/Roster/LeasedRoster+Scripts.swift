import Redis

/// The roster's Lua. Each script is one atomic step. ARGV[1] is the prefix, everywhere.
enum RosterScripts {
    /// Milliseconds by Redis' own clock, the only one that leases are measured with.
    static let clock = """
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)

        """

    /// `live(view)`: whether a view is in force. Remembers within one script.
    static let live =
        clock + """
            local known = {}
            local function live(view)
                if known[view] == nil then
                    local node = string.match(view, '^([^/]+)/')
                    local held = redis.call('HMGET', ARGV[1] .. ':node:' .. node, 'view', 'until')
                    known[view] = held[1] == view and tonumber(held[2]) >= now
                end
                return known[view]
            end

            """

    /// A change on top of what is held.
    /// ARGV: 2 node, 3 incarnation, 4 epoch, 5 base, 6 revision, 7 lease ms, 8 memory ms, 9 track, 10 number of joined,
    /// then four words for each joined, then the handles that left. Answers `ok`, `snapshot` or `stale`.
    static let change = RedisScript(
        clock + """
            local prefix, node, track = ARGV[1], ARGV[2], ARGV[9] == '1'
            local key = prefix .. ':node:' .. node
            local held = redis.call('HMGET', key, 'incarnation', 'epoch', 'revision', 'view', 'until')
            if held[1] ~= ARGV[3] then
                if held[1] and held[2] > ARGV[4] then return 'stale' end
                return 'snapshot'
            end
            if tonumber(held[5]) < now then return 'snapshot' end
            -- A repeated report is one whose answer was lost: it is done already.
            if held[3] ~= ARGV[5] and held[3] ~= ARGV[6] then return 'snapshot' end
            if held[3] == ARGV[5] then
                local view = held[4]
                local entries = prefix .. ':entries:' .. view
                local at = 11
                for _ = 1, tonumber(ARGV[10]) do
                    local handle, user, device, since = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
                    at = at + 4
                    redis.call('ZADD', entries, handle, handle .. '|' .. user .. '|' .. device .. '|' .. since)
                    redis.call('HSET', prefix .. ':user:' .. user, view .. '|' .. handle, device .. '|' .. since)
                    if track then redis.call('SADD', prefix .. ':touched', user) end
                end
                for index = at, #ARGV do
                    local handle = ARGV[index]
                    for _, member in ipairs(redis.call('ZRANGE', entries, handle, handle, 'BYSCORE')) do
                        local user = string.match(member, '^%d+|(%d+)|')
                        redis.call('ZREM', entries, member)
                        redis.call('HDEL', prefix .. ':user:' .. user, view .. '|' .. handle)
                        if track then redis.call('SADD', prefix .. ':touched', user) end
                    end
                end
            end
            redis.call('HSET', key, 'epoch', ARGV[4], 'revision', ARGV[6], 'until', now + ARGV[7])
            redis.call('PEXPIRE', key, ARGV[8])
            return 'ok'
            """)

    /// Begins a snapshot. ARGV: 2 node, 3 incarnation, 4 epoch, 5 view, 6 guard ms. Answers `ok` or `stale`.
    static let begin = RedisScript(
        clock + fence + """
            redis.call('SADD', ARGV[1] .. ':views', ARGV[5])
            redis.call('SET', ARGV[1] .. ':loading:' .. ARGV[5], '1', 'PX', ARGV[6])
            return 'ok'
            """)

    /// Another process of the same node with a greater epoch replaced this one. One without an epoch (ZooKeeper is
    /// away) may come in when the other's lease has ended.
    private static let fence = """
        local held = redis.call('HMGET', ARGV[1] .. ':node:' .. ARGV[2], 'incarnation', 'epoch', 'until')
        if held[1] and held[1] ~= ARGV[3] and held[2] > ARGV[4]
            and (tonumber(ARGV[4]) ~= 0 or tonumber(held[3]) >= now) then return 'stale' end

        """

    /// A part of a snapshot. ARGV: 2 view, 3 guard ms, 4 track, then four words an entry. Answers `ok` or `lost`.
    static let fill = RedisScript(
        """
        local prefix, view, track = ARGV[1], ARGV[2], ARGV[4] == '1'
        if not redis.call('SET', prefix .. ':loading:' .. view, '1', 'PX', ARGV[3], 'XX') then return 'lost' end
        local entries = prefix .. ':entries:' .. view
        for at = 5, #ARGV, 4 do
            local handle, user, device, since = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
            redis.call('ZADD', entries, handle, handle .. '|' .. user .. '|' .. device .. '|' .. since)
            redis.call('HSET', prefix .. ':user:' .. user, view .. '|' .. handle, device .. '|' .. since)
            if track then redis.call('SADD', prefix .. ':touched', user) end
        end
        return 'ok'
        """)

    /// Puts a loaded snapshot in force. ARGV: 2 node, 3 incarnation, 4 epoch, 5 view, 6 revision, 7 lease ms,
    /// 8 memory ms. Answers `ok`, `stale` or `lost`.
    static let commit = RedisScript(
        clock + fence + """
            if redis.call('DEL', ARGV[1] .. ':loading:' .. ARGV[5]) == 0 then return 'lost' end
            local key = ARGV[1] .. ':node:' .. ARGV[2]
            redis.call('HSET', key, 'incarnation', ARGV[3], 'epoch', ARGV[4], 'view', ARGV[5], 'revision', ARGV[6],
                'until', now + ARGV[7])
            redis.call('PEXPIRE', key, ARGV[8])
            return 'ok'
            """)

    /// Marks users. ARGV: 2... users.
    static let touch = RedisScript(
        """
        for at = 2, #ARGV do redis.call('SADD', ARGV[1] .. ':touched', ARGV[at]) end
        return 'ok'
        """)

    /// Ends a node's lease now, unless its epoch is greater. ARGV: 2 node, 3 epoch. Answers 1 if it held one.
    static let end = RedisScript(
        clock + """
            local key = ARGV[1] .. ':node:' .. ARGV[2]
            local held = redis.call('HMGET', key, 'epoch', 'until')
            if not held[1] or held[1] > ARGV[3] or tonumber(held[2]) < now then return 0 end
            redis.call('HSET', key, 'until', 0)
            return 1
            """)

    /// Removes a part of a view that isn't in force. ARGV: 2 view, 3 how many entries, 4 track. Answers how many it
    /// removed, -1 when there is nothing (more) to do.
    static let sweep = RedisScript(
        live + """
            local prefix, view, track = ARGV[1], ARGV[2], ARGV[4] == '1'
            if live(view) or redis.call('EXISTS', prefix .. ':loading:' .. view) == 1 then return -1 end
            local popped = redis.call('ZPOPMIN', prefix .. ':entries:' .. view, ARGV[3])
            for at = 1, #popped, 2 do
                local handle, user = string.match(popped[at], '^(%d+)|(%d+)|')
                redis.call('HDEL', prefix .. ':user:' .. user, view .. '|' .. handle)
                if track then redis.call('SADD', prefix .. ':touched', user) end
            end
            if #popped == 0 then
                redis.call('SREM', prefix .. ':views', view)
                return -1
            end
            return #popped / 2
            """)

    /// A user's connections. ARGV: 2 user. Answers view, epoch, handle, `device|since` of each.
    static let lookup = RedisScript(
        live + """
            local prefix, found = ARGV[1], {}
            local fields = redis.call('HGETALL', prefix .. ':user:' .. ARGV[2])
            for at = 1, #fields, 2 do
                local view, handle = string.match(fields[at], '^(.+)|(%d+)$')
                if live(view) then
                    local node = string.match(view, '^([^/]+)/')
                    found[#found + 1] = view
                    found[#found + 1] = redis.call('HGET', prefix .. ':node:' .. node, 'epoch')
                    found[#found + 1] = handle
                    found[#found + 1] = fields[at + 1]
                end
            end
            return found
            """)

    /// A node's connections in the order of their handles. ARGV: 2 node, 3 after which handle (-1: from the first),
    /// 4 how many. Answers view, epoch, then entries; nothing when the node holds no lease.
    static let list = RedisScript(
        clock + """
            local prefix = ARGV[1]
            local held = redis.call('HMGET', prefix .. ':node:' .. ARGV[2], 'view', 'epoch', 'until')
            if not held[1] or tonumber(held[3]) < now then return {} end
            local found = {held[1], held[2]}
            local entries = redis.call('ZRANGE', prefix .. ':entries:' .. held[1], '(' .. ARGV[3], '+inf', 'BYSCORE',
                'LIMIT', 0, ARGV[4])
            for _, entry in ipairs(entries) do found[#found + 1] = entry end
            return found
            """)

    /// The incarnation and epoch under which a node holds a lease; nothing when it holds none. ARGV: 2 node.
    static let holder = RedisScript(
        clock + """
            local held = redis.call('HMGET', ARGV[1] .. ':node:' .. ARGV[2], 'incarnation', 'epoch', 'until')
            if not held[1] or tonumber(held[3]) < now then return {} end
            return {held[1], held[2]}
            """)
}
