-- Where an id or a time stands.
-- ARGV: incarnation, 'id' or 'time', the id or the time.
local meta = redis.call('HMGET', META, 'incarnation', 'next', 'oldest', 'bytes', 'print')
if meta[1] ~= ARGV[1] then
  return { 'other' }
end
if ARGV[2] == 'id' then
  local position = redis.call('HGET', IDS, ARGV[3]) or ''
  return { 'ok', meta[1], meta[2], meta[3], meta[4], meta[5] or '', position }
end
-- Entries follow on each other without holes, so it is a search by halves: the answer begins with
-- an entry between these two.
local low, high, time = tonumber(meta[3]), tonumber(meta[2]), tonumber(ARGV[3])
while low < high do
  local middle = math.floor((low + high) / 2)
  local found = redis.call('XREVRANGE', LOG, digits(middle), '-', 'COUNT', 1)[1]
  local first, count, latest = 0, 0, -1
  if found then
    first, count = extent(found[1])
    latest = tonumber(fields(found[2]).m)
  end
  if latest >= time and first >= low then
    high = first
  else
    low = math.max(first + count, middle + 1)
  end
end
return { 'ok', meta[1], meta[2], meta[3], meta[4], meta[5] or '', digits(low) }
