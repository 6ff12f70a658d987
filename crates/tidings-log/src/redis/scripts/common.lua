-- What the scripts share. The keys are the same for all of them but those of shares, and all in one
-- slot of a cluster.
local LOG, META, IDS, USES, USE_ORDER, NODE = unpack(KEYS)

-- Lua's own way writes large numbers as 1e+15.
local function digits(number)
  return string.format('%.0f', number)
end

local function fields(list)
  local named = {}
  for at = 1, #list, 2 do
    named[list[at]] = list[at + 1]
  end
  return named
end

-- The first position of an entry, and how many it holds.
local function extent(id)
  local first, count = id:match('^(%d+)-(%d+)$')
  return tonumber(first), tonumber(count)
end

-- This server's time of day in milliseconds: a node whose clock is ahead must not take all others
-- along, nor make the log let go of what is young.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Forgets the chosen ids of an entry, but for those that a later event has too.
local function forget_ids(lines)
  for at, id in lines:gmatch('(%d+) ([^\n]+)\n') do
    if redis.call('HGET', IDS, id) == at then
      redis.call('HDEL', IDS, id)
    end
  end
end

-- Lets go of the oldest entries while there are more bytes than may be, or all of an entry is
-- older than `cutoff`; of so many at most, since nobody else has a turn meanwhile.
local function trim(oldest, next, bytes, bytes_max, cutoff, entries_max)
  local from, dropped = '-', false
  for _ = 1, entries_max do
    local found = redis.call('XRANGE', LOG, from, '+', 'COUNT', 1)[1]
    if not found then
      oldest, bytes = next, 0
      break
    end
    local first, count = extent(found[1])
    local entry = fields(found[2])
    oldest = first
    if bytes <= bytes_max and tonumber(entry.m) >= cutoff then
      break
    end
    if entry.i then
      forget_ids(entry.i)
    end
    bytes = math.max(0, bytes - entry.b)
    oldest = first + count
    from, dropped = '(' .. found[1], true
  end
  if dropped then
    redis.call('XTRIM', LOG, 'MINID', digits(oldest))
  end
  return oldest, bytes
end
