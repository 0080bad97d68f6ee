-- For wrk: PUTs one manifest under tags that no request has had, in one repository after the other.
--
-- Arguments: the file with the manifest, its media type, how many repositories there are, and what the
-- tags begin with.

local count = 0
local repositories, tags, body, headers

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  body = file:read("*a")
  file:close()
  headers = { ["Content-Type"] = arguments[2] }
  repositories = tonumber(arguments[3])
  tags = arguments[4]
end

function request()
  count = count + 1
  local path = "/v2/bench/puts" .. count % repositories .. "/manifests/" .. tags .. count
  return wrk.format("PUT", path, headers, body)
end
