-- Lets go of what retention does not cover, and of the uses of keys past their window.
-- ARGV: incarnation, the caller's time, bytes at most, age at most, window, entries at most.
local meta = redis.call('HMGET', META, 'incarnation', 'next', 'oldest', 'bytes', 'print')
if meta[1] ~= ARGV[1] then
  return { 'other' }
end
local now = math.min(tonumber(ARGV[2]), clock())
local next = tonumber(meta[2])
local oldest, bytes = trim(tonumber(meta[3]), next, tonumber(meta[4]), tonumber(ARGV[3]),
  now - ARGV[4], tonumber(ARGV[6]))
for _ = 1, tonumber(ARGV[6]) do
  local first = redis.call('LINDEX', USE_ORDER, 0)
  if not first then
    break
  end
  local at, time, key = first:match('^(%d+) (%d+) (.+)$')
  if now - time <= tonumber(ARGV[5]) then
    break
  end
  redis.call('LPOP', USE_ORDER)
  local use = redis.call('HGET', USES, key)
  if use and use:match('^%d+') == at then
    redis.call('HDEL', USES, key)
  end
end
-- Written each time, so that it also tells whether the server takes writes.
redis.call('HSET', META, 'oldest', digits(oldest), 'bytes', digits(bytes))
return { 'ok', meta[1], meta[2], digits(oldest), digits(bytes), meta[5] or '' }
