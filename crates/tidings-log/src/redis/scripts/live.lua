-- Says that a node lives, and whether it counted as living before.
-- KEYS: which nodes live. ARGV: the node, for how long, since when what it has said counts.
local now, lived = clock(), 0
for name, lives in pairs(fields(redis.call('HGETALL', KEYS[1]))) do
  if tonumber(lives:match('^(%d+)')) <= now then
    redis.call('HDEL', KEYS[1], name)
  elseif name == ARGV[1] then
    lived = 1
  end
end
redis.call('HSET', KEYS[1], ARGV[1], digits(now + ARGV[2]) .. ' ' .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], 2 * ARGV[2])
return lived
