// engine/notify/letter_case.h -- upper and lower case of UTF-8, letter by letter, as Go's
// strings.ToUpper and ToLower have it.
#pragma once

#include <string>
#include <string_view>

namespace basalt::notify {

// Bytes that are not UTF-8 become U+FFFD. Where the system has no C.UTF-8 locale, only ASCII
// letters change.
std::string LowerCase(std::string_view text);
std::string UpperCase(std::string_view text);

}  // namespace basalt::notify
