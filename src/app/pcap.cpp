// Numbers in this machine's order, which readers tell by the magic number.
#include "app/pcap.h"

namespace shunt::app {
namespace {

constexpr uint32_t kMagicNanoseconds = 0xa1b23c4d;
constexpr uint16_t kMajor = 2;
constexpr uint16_t kMinor = 4;
constexpr uint32_t kEthernet = 1;  // LINKTYPE_ETHERNET.
constexpr int64_t kSecond = 1'000'000'000;

template <class T>
void append(std::string& out, T number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

}  // namespace

void append_pcap_header(std::string& out, uint32_t snap) {
  append(out, kMagicNanoseconds);
  append(out, kMajor);
  append(out, kMinor);
  append(out, uint32_t{0});  // Time zone and accuracy, which nobody sets.
  append(out, uint32_t{0});
  append(out, snap);
  append(out, kEthernet);
}

void append_pcap_frame(std::string& out, int64_t unix_ns, std::string_view frame, uint32_t size) {
  append(out, static_cast<uint32_t>(unix_ns / kSecond));
  append(out, static_cast<uint32_t>(unix_ns % kSecond));
  append(out, static_cast<uint32_t>(frame.size()));
  append(out, size);
  out += frame;
}

}  // namespace shunt::app
