-- Makes the log where there is none, and says what it holds.
-- ARGV: the incarnation of a new one, the format that the caller knows, how many partitions it
-- wants the hub's log to have.
local meta = redis.call('HMGET', META, 'incarnation', 'next', 'oldest', 'bytes', 'print', 'format',
  'partitions')
if not meta[1] then
  -- What is left of a log without its head belongs to nothing.
  redis.call('UNLINK', LOG, IDS, USES, USE_ORDER)
  redis.call('HSET', META, 'format', ARGV[2], 'incarnation', ARGV[1], 'next', 1, 'oldest', 1,
    'time', 0, 'bytes', 0, 'partitions', ARGV[3])
  return { 'ok', ARGV[1], '1', '1', '0', '', ARGV[2] .. ' ' .. ARGV[3] }
end
return { 'ok', meta[1], meta[2], meta[3], meta[4], meta[5] or '',
  (meta[6] or '') .. ' ' .. (meta[7] or '1') }
