-- What the log holds, and the entry that holds a position, if that is asked for.
-- ARGV: the position, 0 for none.
local meta = redis.call('HMGET', META, 'incarnation', 'next', 'oldest', 'bytes')
if not meta[1] then
  return { 'other' }
end
local held = {}
if ARGV[1] ~= '0' then
  held = redis.call('XREVRANGE', LOG, ARGV[1], '-', 'COUNT', 1)
end
return { 'ok', meta[1], meta[2], meta[3], meta[4], held }
