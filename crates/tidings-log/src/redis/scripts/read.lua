-- Entries from the one that holds a position on, until they have so many bytes.
-- ARGV: incarnation, position, bytes, 'forward' or 'back'.
local meta = redis.call('HMGET', META, 'incarnation', 'next', 'oldest', 'bytes', 'print')
if meta[1] ~= ARGV[1] then
  return { 'other' }
end
local bytes_max, back = tonumber(ARGV[3]), ARGV[4] == 'back'
local held = redis.call('XREVRANGE', LOG, ARGV[2], '-', 'COUNT', 1)[1]
local entries, bytes = {}, 0
local from = '-'
local function take(entry)
  entries[#entries + 1] = entry
  bytes = bytes + fields(entry[2]).b
  from = '(' .. entry[1]
end
if held then
  take(held)
end
local more = held or not back
while more and bytes < bytes_max do
  -- As many as will probably do: most entries are like those before.
  local likely = 16
  if #entries > 0 then
    likely = math.ceil((bytes_max - bytes) / math.max(bytes / #entries, 64))
  end
  local count = math.min(math.max(likely, 1), 512)
  local found
  if back then
    found = redis.call('XREVRANGE', LOG, from, '-', 'COUNT', count)
  else
    found = redis.call('XRANGE', LOG, from, '+', 'COUNT', count)
  end
  more = #found == count
  for _, entry in ipairs(found) do
    take(entry)
    if bytes >= bytes_max then
      break
    end
  end
end
return { 'ok', meta[1], meta[2], meta[3], meta[4], meta[5] or '', entries }
