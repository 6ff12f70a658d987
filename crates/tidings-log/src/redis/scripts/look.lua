-- What the log holds, and the fingerprints of the events at some positions: an empty one where it is
-- not kept, nor followed by the oldest that is.
-- ARGV: the positions.
local meta = redis.call('HMGET', META, 'incarnation', 'next', 'oldest', 'bytes', 'print')
if not meta[1] then
  return { 'other' }
end
local prints = {}
for at, text in ipairs(ARGV) do
  local position, print = tonumber(text), nil
  local found = redis.call('XREVRANGE', LOG, text, '-', 'COUNT', 1)[1]
  if found then
    local first, count = extent(found[1])
    print = position < first + count and fields(found[2]).p
  else
    found = redis.call('XRANGE', LOG, '-', '+', 'COUNT', 1)[1]
    print = found and extent(found[1]) == position + 1 and fields(found[2]).a
  end
  prints[at] = print or ''
end
return { 'ok', meta[1], meta[2], meta[3], meta[4], meta[5] or '', prints }
